#!/bin/sh
# Would nautobot-token change anything? A check for pipelines that writes nothing.
#
#   check.sh openstack/nautobot-token argo-events/nautobot-token
#
# looks at these Secrets in the cluster that kubectl would use. The settings come
# from the environment, like those of the chart's Job:
#
#   export NAUTOBOT_URL=https://nautobot.example.com CLUSTER_NAME=rxdb-lab
#   kubectl -n nautobot-token get configmap nautobot-token-policy -o 'jsonpath={.data.policy\.yaml}' >policy.yaml
#   export NAUTOBOT_TOKEN_POLICY=policy.yaml
#
# Exit code 0: nothing to do. 4: changes are pending. Otherwise a Secret was
# refused (3), the settings are wrong (2), or the check failed (1).
set -u

if [ $# -eq 0 ]; then
	echo "usage: $0 NAMESPACE/NAME..." >&2
	exit 2
fi

pending=0 failed=0
for secret in "$@"; do
	nautobot-token provision "${secret#*/}" --namespace "${secret%%/*}" --dry-run --detailed-exitcode
	code=$?
	case $code in
	0) ;;
	4) pending=$code ;;
	3) [ "$failed" -ne 0 ] || failed=$code ;; # a failure may work next time, so it outranks a refusal
	*) failed=$code ;;
	esac
done

if [ "$failed" -ne 0 ]; then
	exit "$failed"
fi
exit "$pending"
