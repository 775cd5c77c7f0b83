package cmd

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rackerlabs/understack/go/nautobot-token/kube/kubetest"
)

// The API paths of the kinds in a chain.
const (
	configMaps      = "/api/v1/configmaps"
	podObjects      = "/api/v1/pods"
	quotas          = "/api/v1/resourcequotas"
	claims          = "/api/v1/persistentvolumeclaims"
	eventObjects    = "/api/v1/events"
	jobObjects      = "/apis/batch/v1/jobs"
	cronJobs        = "/apis/batch/v1/cronjobs"
	eventBuses      = "/apis/argoproj.io/v1alpha1/eventbus"
	eventSources    = "/apis/argoproj.io/v1alpha1/eventsources"
	sensors         = "/apis/argoproj.io/v1alpha1/sensors"
	externalSecrets = "/apis/external-secrets.io/v1/externalsecrets"
)

const (
	releaseLabels = `"app.kubernetes.io/name":"nautobot-token","app.kubernetes.io/instance":"nautobot-token","app.kubernetes.io/part-of":"nautobot-token"`
	deployed      = `{"type":"Deployed","status":"True"}`
)

// metadata is that of an object of the release.
func metadata(name, component, more string) string {
	return fmt.Sprintf(`"metadata":{"namespace":"nautobot-token","name":%q,"creationTimestamp":"2026-11-24T08:00:00Z","labels":{%s,"app.kubernetes.io/component":%q%s}}`, name, releaseLabels, component, more)
}

// newChainWorld is a world with an installed chart whose chain works: the Secret
// came from an ExternalSecret, its Job is complete, and its account is there. The
// chart, not the environment, says where Nautobot is.
func newChainWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.kube.Unlabel("nautobot/nautobot-superuser")
	if got := w.run(t, "provision", "nautobot-token"); got.code != exitDone {
		t.Fatalf("%+v", got)
	}
	t.Setenv("NAUTOBOT_URL", "")
	t.Setenv("CLUSTER_NAME", "")
	checkClock = func() time.Time { return kubetest.Began.Add(time.Hour) }
	t.Cleanup(func() { checkClock = time.Now })
	w.putRelease("nautobot-token", policyOf("openstack", "svc-*"))
	w.putArgo(deployed)
	w.putPod("bus", `"eventbus-name":"nautobot-token"`, ready)
	w.putPod("source", `"eventsource-name":"nautobot-token"`, ready)
	w.putPod("sensor", `"sensor-name":"nautobot-token"`, ready)
	w.kube.PutLog("nautobot-token/source", at("09:00:00", "")+` {"level":"info","msg":"Succeeded to publish an event","eventName":"openstack"}`)
	w.kube.PutObject(quotas, `{`+metadata("nautobot-token-job", "job", "")+`,"status":{"hard":{"pods":"10"},"used":{"pods":"0"}}}`)
	w.putExternalSecret(`{"type":"Ready","status":"True","reason":"SecretSynced"}`, "1h")
	w.putJob(`{"type":"Complete","status":"True"}`, "")
	w.putCronJob(false, `"lastScheduleTime":"2026-11-24T09:07:00Z","lastSuccessfulTime":"2026-11-24T09:07:05Z"`)
	return w
}

// at is a time in a log, followed by a text.
func at(clock, text string) string {
	return strings.TrimSuffix("2026-11-24T"+clock+".5Z "+text, " ")
}

func policyOf(namespace, usernames string) string {
	return fmt.Sprintf("rules:\n- namespace: %s\n  usernames: [%q]\n", namespace, usernames)
}

// putRelease puts the two ConfigMaps of a release into a namespace.
func (w *world) putRelease(namespace, policy string, more ...string) {
	job := strings.Join(append([]string{
		"spec:", "  ttlSecondsAfterFinished: 86400", "  template:", "    spec:", "      containers:", "        - name: provision", "          env:",
		"            - {name: NAUTOBOT_URL, value: " + w.nautobot.URL + "}",
		"            - {name: NAUTOBOT_SUPERUSER_SECRET, value: nautobot/nautobot-superuser}",
		"            - {name: CLUSTER_NAME, value: lab}",
	}, more...), "\n")
	for component, key := range map[string]string{"policy": policy, "job": job} {
		text := fmt.Sprintf(`{%s,"data":{"%s.yaml":%q}}`, metadata("nautobot-token-"+component, component, ""), component, key)
		w.kube.PutObject(configMaps, strings.Replace(text, `"namespace":"nautobot-token"`, `"namespace":"`+namespace+`"`, 1))
	}
}

// putArgo puts bus, EventSource and Sensor, whose status has one condition.
func (w *world) putArgo(condition string) {
	status := `"status":{"conditions":[` + condition + `]}`
	w.kube.PutObject(eventBuses, `{`+metadata("nautobot-token", "eventbus", "")+`,"spec":{"jetstream":{"replicas":1}},`+status+`}`)
	w.kube.PutObject(eventSources, `{`+metadata("nautobot-token", "watcher", "")+`,"spec":{"eventBusName":"nautobot-token","resource":{"openstack":{"namespace":"openstack","group":""}}},`+status+`}`)
	w.kube.PutObject(sensors, `{`+metadata("nautobot-token", "sensor", "")+`,"spec":{"eventBusName":"nautobot-token"},`+status+`}`)
}

// The statuses of Pods.
const (
	ready    = `"phase":"Running","conditions":[{"type":"Ready","status":"True"}],"containerStatuses":[{"name":"main","state":{"running":{}}}]`
	notReady = `"phase":"Running","conditions":[{"type":"Ready","status":"False"}],"containerStatuses":[{"name":"main","restartCount":3,"state":{"running":{}}}]`
	homeless = `"phase":"Pending","conditions":[{"type":"PodScheduled","status":"False","reason":"Unschedulable"}]`
)

func waiting(reason string) string {
	return `"phase":"Pending","containerStatuses":[{"name":"provision","state":{"waiting":{"reason":"` + reason + `"}}}]`
}

// ended is the status of a Job's Pod whose program has ended.
func ended(code int, message string) string {
	return fmt.Sprintf(`"phase":"Failed","containerStatuses":[{"name":"provision","state":{"terminated":{"exitCode":%d,"reason":"Error","message":%q}}}]`, code, message)
}

func (w *world) putPod(name, labels, status string) {
	w.kube.PutObject(podObjects, fmt.Sprintf(`{%s,"spec":{"volumes":[{"persistentVolumeClaim":{"claimName":"js"}}]},"status":{%s}}`,
		metadata(name, "part", ","+labels), status))
}

// putJob puts the Job of the Secret, and its Pod if that has a status.
func (w *world) putJob(condition, pod string) {
	w.putJobAt("09:00:01", `"conditions":[`+condition+`]`, pod)
}

func (w *world) putJobAt(clock, status, pod string) {
	w.kube.PutObject(jobObjects, `{"metadata":{"namespace":"nautobot-token","name":"nautobot-token-x7k2p","creationTimestamp":"2026-11-24T`+clock+`Z","labels":{"app.kubernetes.io/component":"job"}},
		"spec":{"template":{"spec":{"containers":[{"name":"provision","args":["provision","nautobot-token","--namespace","openstack"]}]}}},
		"status":{`+status+`}}`)
	if pod != "" {
		w.putPod("nautobot-token-x7k2p-1", `"batch.kubernetes.io/job-name":"nautobot-token-x7k2p"`, pod)
	}
}

// putCronJob puts the one that syncs.
func (w *world) putCronJob(suspend bool, status string) {
	w.kube.PutObject(cronJobs, fmt.Sprintf(`{%s,"spec":{"suspend":%v},"status":{%s}}`, metadata("nautobot-token-sync", "sync", ""), suspend, status))
}

func (w *world) putExternalSecret(condition, interval string) {
	w.kube.PutObject(externalSecrets, fmt.Sprintf(`{"metadata":{"namespace":"openstack","name":"credential"},
		"spec":{"refreshInterval":%q,"target":{"name":"nautobot-token"}},"status":{"refreshTime":"2026-11-24T09:30:00Z","conditions":[%s]}}`, interval, condition))
}
