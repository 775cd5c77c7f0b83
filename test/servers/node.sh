# shellcheck shell=bash
# The first process of a node: it prepares the namespaces in which StartCluster
# has put it, waits for a line on standard input, starts the node's programs and
# ends when one of them does. Then the kernel ends whatever runs in its process
# namespace. Everything lies below the working directory.
set -euo pipefail

: "${NODE:?}" "${ADDRESS:?}" "${PODS:?}" "${CGROUP:?}" "${CNI:?}"
dir=$PWD
mkdir -p cni containerd kubelet log sysctl images

mount --make-rprivate /
mount -t proc proc /proc
mount --make-rshared / # as kubelet expects it
hostname "$NODE"
ip link set lo up
# The node's own address belongs to a bridge without ports: there is no other network.
ip link add node0 type bridge
ip addr add "$ADDRESS/32" dev node0
ip link set node0 up
echo 1 >/proc/sys/net/ipv4/ip_forward # of this network namespace

# Kubelet sets these, and they are the whole machine's: give it files to write to.
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
	kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
	file=sysctl/${setting//\//.}
	echo "${setting#*=}" >"$file"
	mount --bind "$file" "/proc/sys/${setting%=*}"
done
# What programs expect to find or to leave at fixed places.
mount -t tmpfs -o mode=755 run /run
mkdir /run/lock
mount -t tmpfs -o mode=755 lib /var/lib
mount --bind log /var/log


cat >cni/10-test.conflist <<JSON
{"cniVersion": "1.0.0", "name": "test", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isDefaultGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$PODS"}]]}}]}
JSON

cat >containerd.toml <<TOML
version = 3
root = "$dir/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "$PAUSE"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true # lowering it needs a capability that root may lack in a container
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["$CNI"]
  conf_dir = "$dir/cni"
[plugins."io.containerd.cri.v1.runtime".containerd]
  default_runtime_name = "runc"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  BinaryName = "runc"
  SystemdCgroup = false
TOML

: >resolv.conf
cat >kubelet.yaml <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $ADDRESS
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $dir/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $dir/kubelet-server.crt
tlsPrivateKeyFile: $dir/kubelet-server.key
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: [pods]
resolvConf: $dir/resolv.conf
clusterDNS: [$ADDRESS]
clusterDomain: cluster.local
readOnlyPort: 0
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, nodefs.inodesFree: 1%, imagefs.available: 1%, imagefs.inodesFree: 1%}
imageGCHighThresholdPercent: 100
shutdownGracePeriod: 0s
YAML

cat >kube-proxy.yaml <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $dir/kube-proxy.kubeconfig}
mode: iptables
clusterCIDR: $PODS
hostnameOverride: $NODE
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
YAML

cat >Corefile <<CORE
. {
  bind $ADDRESS
  errors
  ready 127.0.0.1:8181
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $dir/coredns.kubeconfig test
  }
}
CORE

# A cgroup of the node's own: version 1 has a tree for each controller.
if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
	mkdir -p "/sys/fs/cgroup/$CGROUP"
else
	for tree in /sys/fs/cgroup/*/; do
		[[ -L ${tree%/} ]] && continue
		mkdir -p "$tree$CGROUP"
		for file in cpuset.cpus cpuset.mems; do
			[[ -e $tree$file ]] && cat "$tree$file" >"$tree$CGROUP/$file"
		done
	done
fi

echo prepared
read -r _
exec </dev/null

declare -A names
start() { # start NAME COMMAND...
	local name=$1
	shift
	"$@" >"$name.log" 2>&1 &
	names[$!]=$name
}
start containerd containerd --config containerd.toml
until ctr version >/dev/null 2>&1; do
	kill -0 $! || { echo "containerd has ended" && exit 1; }
	sleep 0.1
done
for image in images/*.tar; do ctr -n k8s.io images import "$image" >/dev/null; done
start kubelet kubelet --config kubelet.yaml --kubeconfig kubelet.kubeconfig --root-dir "$dir/kubelet" \
	--cert-dir "$dir/kubelet/pki" --hostname-override "$NODE" --node-ip "$ADDRESS"
start kube-proxy kube-proxy --config kube-proxy.yaml
start coredns coredns -conf Corefile
wait -n -p pid || true # meanwhile bash reaps what is left to the first process
echo "${names[$pid]} has ended, and so does the node"
exit 1
