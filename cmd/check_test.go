package cmd

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rackerlabs/understack/go/nautobot-token/cmd/check"
)

// If all is well, every link is ok, and nothing is written.
func TestCheckAllIsWell(t *testing.T) {
	w := newChainWorld(t)
	got := w.run(t, "check", "nautobot-token")
	if got.code != exitDone || got.stderr != "" {
		t.Errorf("exit code %d, standard error %q", got.code, got.stderr)
	}
	golden(t, "check", strings.ReplaceAll(got.stdout, strings.TrimPrefix(w.nautobot.URL, "http://"), "nautobot.example.com"))
	for _, request := range w.kube.Requests() {
		if !strings.HasPrefix(request, http.MethodGet) && !strings.Contains(request, "/events") {
			t.Errorf("a request that may write: %v", request)
		}
	}
	if got := w.run(t, "check", "nautobot-token", "-v"); got.code != exitDone || !strings.Contains(got.stderr, "asked Nautobot") {
		t.Errorf("with -v: %+v", got)
	}
	if got := w.run(t, "check"); got.code != exitDone || strings.Contains(got.stdout, "openstack") || !strings.Contains(got.stdout, "ok       nautobot/") {
		t.Errorf("without NAME: %+v", got)
	}
}

// Each way in which the chain can be broken is a finding about its link, with the
// words that people look for, and with what fixes it.
func TestCheckFinds(t *testing.T) {
	for name, c := range map[string]struct {
		broken func(*world)
		status check.Status
		object string // of the finding
		says   string
		mend   string // in its commands
	}{
		"backend": {
			func(w *world) {
				w.putExternalSecret(`{"type":"Ready","status":"False","reason":"SecretSyncedError"}`, "1h")
			},
			check.Failed, "externalsecret/openstack/credential", "SecretSyncedError", "describe externalsecret credential",
		},
		"sync fails": {
			func(w *world) {
				w.putCronJob(false, `"lastScheduleTime":"2026-11-24T09:07:00Z","lastSuccessfulTime":"2026-11-24T08:07:05Z"`)
			},
			check.Failed, "cronjob/nautobot-token/nautobot-token-sync", "has not succeeded since it was last due", "create job --from=cronjob/nautobot-token-sync",
		},
		"sync has never succeeded": {
			func(w *world) { w.putCronJob(false, `"lastScheduleTime":"2026-11-24T09:07:00Z"`) },
			check.Failed, "cronjob/nautobot-token/nautobot-token-sync", "has not succeeded since it was last due", "get jobs",
		},
		"sync is suspended": {
			func(w *world) { w.putCronJob(true, "") },
			check.Warning, "cronjob/nautobot-token/nautobot-token-sync", "suspended", "sync.suspend=false",
		},
		"interval of a day": {
			func(w *world) { w.putExternalSecret(`{"type":"Ready","status":"True"}`, "1d") },
			check.Failed, "externalsecret/openstack/credential", "refreshInterval", "24h",
		},
		"no chart, no policy": {
			func(w *world) {
				for _, name := range []string{"nautobot-token-policy", "nautobot-token-job"} {
					w.kube.RemoveObject(configMaps, "nautobot-token/"+name)
				}
			},
			check.Warning, "rule/openstack/nautobot-token", "the rules are in the chart, which was not found", "",
		},
		"no Secret": {
			func(w *world) { w.kube.Remove("openstack/nautobot-token") },
			check.Failed, "secret/openstack/nautobot-token", "there is no such Secret", "get secrets",
		},
		"no label": {
			func(w *world) { w.kube.Unlabel("openstack/nautobot-token") },
			check.Failed, "secret/openstack/nautobot-token", "the label token/type=nautobot is missing", "kubectl -n openstack label secret nautobot-token token/type=nautobot",
		},
		"no token": {
			func(w *world) {
				w.kube.Put("openstack/nautobot-token", map[string]string{"username": username, "password": password})
			},
			check.Failed, "keys/openstack/nautobot-token", `key "token" is missing`, "describe secret nautobot-token",
		},
		"no rule": {
			func(w *world) { w.putRelease("nautobot-token", policyOf("elsewhere", "*")) },
			check.Failed, "rule/openstack/nautobot-token", "has no rule for Secret openstack/nautobot-token", "helm -n nautobot-token upgrade nautobot-token",
		},
		"no rule for the username": {
			func(w *world) { w.putRelease("nautobot-token", policyOf("openstack", "other-*")) },
			check.Failed, "rule/openstack/nautobot-token", "may have an account called other-*", "helm -n nautobot-token upgrade nautobot-token",
		},
		"namespace is not watched": {
			func(w *world) {
				w.kube.PutObject(eventSources, `{`+metadata("nautobot-token", "watcher", "")+`,"spec":{"eventBusName":"nautobot-token","resource":{"a":{"namespace":"a"}}},"status":{"conditions":[`+deployed+`]}}`)
			},
			check.Failed, "eventsource/nautobot-token/nautobot-token", "does not watch namespace openstack", "helm -n nautobot-token upgrade",
		},
		"no Argo Events": {
			func(w *world) { w.kube.Unserve("/apis/argoproj.io/v1alpha1") },
			check.Failed, "eventsource/nautobot-token", "Argo Events is not installed", "crd",
		},
		"no bus": {
			func(w *world) { w.kube.RemoveObject(eventBuses, "nautobot-token/nautobot-token") },
			check.Failed, "eventbus/nautobot-token/nautobot-token", "EventBus not found", "eventBus.create=true",
		},
		"no bus, says the EventSource": {
			func(w *world) {
				w.putArgo(`{"type":"Deployed","status":"False","reason":"EventBusNotFound","message":"EventBus not found."}`)
			},
			check.Failed, "eventsource/nautobot-token/nautobot-token", "EventBus not found", "describe eventsource",
		},
		"version of the bus": {
			func(w *world) {
				w.putArgo(`{"type":"Deployed","status":"False","reason":"JetStreamStatefulSetFailed","message":"unsupported version \"2.9.99\""}`)
			},
			check.Failed, "eventbus/nautobot-token/nautobot-token", "unsupported version", "eventBus.version=2.9.16",
		},
		"no volume": {
			func(w *world) {
				w.putPod("bus", `"eventbus-name":"nautobot-token"`, homeless)
				w.kube.PutObject(claims, `{"metadata":{"namespace":"nautobot-token","name":"js"},"status":{"phase":"Pending"}}`)
			},
			check.Failed, "eventbus/nautobot-token/nautobot-token", "StorageClass", "get pvc",
		},
		"bus came back empty, Sensor": {
			func(w *world) {
				w.kube.PutLog("nautobot-token/sensor", at("09:10:00", `{"msg":"Successfully processed trigger 'provision-openstack'"}`)+"\n"+at("09:20:00", `{"level":"error","msg":"nats: bucket not found"}`))
			},
			check.Failed, "sensor/nautobot-token/nautobot-token", "bucket not found", "delete pod -l sensor-name=nautobot-token",
		},
		"bus came back empty, EventSource": {
			func(w *world) {
				w.kube.PutLog("nautobot-token/source", at("09:20:00", `{"level":"error","msg":"Failed to publish an event","error":"nats: no response from stream"}`))
			},
			check.Failed, "eventsource/nautobot-token/nautobot-token", "no response from stream", "delete pod -l eventsource-name=nautobot-token",
		},
		"servers of the bus, EventSource": {
			func(w *world) {
				w.kube.PutLog("nautobot-token/source", at("09:20:00", `{"level":"error","msg":"failed to connect to eventbus","error":"nats: no suitable peers for placement"}`))
			},
			check.Failed, "eventsource/nautobot-token/nautobot-token", "no suitable peers for placement", "for pod in $(kubectl -n nautobot-token get pod -l eventbus-name=nautobot-token -o name)",
		},
		"servers of the bus, Sensor": {
			func(w *world) {
				w.putPod("sensor", `"sensor-name":"nautobot-token"`, notReady)
				w.kube.PutLog("nautobot-token/sensor?previous", at("09:20:00", `{"level":"fatal","error":"nats: no suitable peers for placement"}`))
			},
			check.Failed, "sensor/nautobot-token/nautobot-token", "no suitable peers for placement",
			`for pod in $(kubectl -n nautobot-token get pod -l eventbus-name=nautobot-token -o name); do kubectl -n nautobot-token delete "$pod"; kubectl -n nautobot-token rollout status statefulset eventbus-nautobot-token-js --timeout=2m; done`,
		},
		"event lost": {
			func(w *world) {
				w.kube.PutLog("nautobot-token/source", at("09:20:00", `{"level":"error","msg":"Failed to publish an event","error":"eventbus connection closed"}`))
			},
			check.Warning, "eventsource/nautobot-token/nautobot-token", "did not reach the bus at 2026-11-24T09:20:00Z", "delete pod",
		},
		"EventSource forbidden": {
			func(w *world) {
				w.kube.PutLog("nautobot-token/source", at("09:59:30", `E1124 reflector.go:204] "Failed to watch" err="failed to list /v1, Resource=secrets: secrets is forbidden: User \"system:serviceaccount:nautobot-token:nautobot-token-watcher\" cannot list resource \"secrets\" in API group \"\" in the namespace \"openstack\""`))
			},
			check.Failed, "eventsource/nautobot-token/nautobot-token", "forbidden: it may not list secrets in namespace openstack", "--as=system:serviceaccount:nautobot-token:nautobot-token-watcher",
		},
		"EventSource forbidden, its Role is gone": {
			func(w *world) {
				w.kube.PutLog("nautobot-token/source", at("09:59:30", `"Failed to watch" err="secrets is forbidden: User \"system:serviceaccount:nautobot-token:nautobot-token-watcher\" cannot list resource \"secrets\" in API group \"\" in the namespace \"openstack\""`))
			},
			check.Failed, "eventsource/nautobot-token/nautobot-token", "Create the Role and the RoleBinding again", "helm -n nautobot-token get manifest nautobot-token | kubectl apply -f -",
		},
		"Job refused": {
			func(w *world) {
				w.kube.PutLog("nautobot-token/sensor", at("09:20:00", `{"level":"error","msg":"Failed to execute a trigger","triggerName":"provision-openstack","error":"jobs.batch is forbidden: exceeded quota: compute"}`))
			},
			check.Failed, "sensor/nautobot-token/nautobot-token", "failed to execute a trigger at 2026-11-24T09:20:00Z: the API server refused a Job (exceeded quota)", "nautobot-token/touched",
		},
		"image of a part": {
			func(w *world) { w.putPod("sensor", `"sensor-name":"nautobot-token"`, waiting("ImagePullBackOff")) },
			check.Failed, "sensor/nautobot-token/nautobot-token", "ImagePullBackOff", "describe pod sensor",
		},
		"no Pod": {
			func(w *world) { w.kube.RemoveObject(podObjects, "nautobot-token/sensor") },
			check.Failed, "sensor/nautobot-token/nautobot-token", "0 Pods of 1", "get pods",
		},
		"quota": {
			func(w *world) {
				w.kube.PutObject(quotas, `{`+metadata("nautobot-token-job", "job", "")+`,"status":{"hard":{"pods":"10"},"used":{"pods":"11"}}}`)
			},
			check.Warning, "resourcequota/nautobot-token/nautobot-token-job", "exceeded quota: pods used up", "describe resourcequota",
		},
		"Job waits for the quota": {
			func(w *world) {
				w.putJob("", "")
				w.kube.PutObject(eventObjects, `{"metadata":{"namespace":"nautobot-token","name":"e"},"involvedObject":{"kind":"Job","name":"nautobot-token-x7k2p"},"reason":"FailedCreate","message":"pods is forbidden: exceeded quota: nautobot-token-job"}`)
			},
			check.Warning, "job/nautobot-token/nautobot-token-x7k2p", "it has no Pod: exceeded quota", "describe job",
		},
		"quota wants more": {
			func(w *world) {
				w.putJob("", "")
				w.kube.PutObject(eventObjects, `{"metadata":{"namespace":"nautobot-token","name":"e"},"involvedObject":{"kind":"Job","name":"nautobot-token-x7k2p"},"reason":"FailedCreate","message":"pods is forbidden: failed quota: compute: must specify limits.cpu"}`)
			},
			check.Failed, "job/nautobot-token/nautobot-token-x7k2p", "must specify", "job.resources",
		},
		"image of the Job": {
			func(w *world) { w.putJob("", waiting("ErrImageNeverPull")) },
			check.Failed, "job/nautobot-token/nautobot-token-x7k2p", "ErrImageNeverPull", "describe pod nautobot-token-x7k2p-1",
		},
		"sidecar": {
			func(w *world) {
				w.putJob("", `"phase":"Running","containerStatuses":[{"name":"provision","state":{"terminated":{"exitCode":0}}},{"name":"proxy","state":{"running":{}}}]`)
			},
			check.Failed, "job/nautobot-token/nautobot-token-x7k2p", "runs on because of the container proxy", "get pod",
		},
		"exit code 3": {
			func(w *world) {
				w.putJob(`{"type":"Failed","status":"True","reason":"PodFailurePolicy"}`, ended(3, `{"time":"t","level":"ERROR","msg":"refused","error":"key \"token\" is missing"}`+"\n"))
			},
			check.Failed, "job/nautobot-token/nautobot-token-x7k2p", `exit code 3, the Secret was refused: key "token" is missing`, "get events",
		},
		"exit code 2": {
			func(w *world) {
				w.putJob(`{"type":"Failed","status":"True","reason":"PodFailurePolicy"}`, ended(2, "nautobot-token: --timeout (TIMEOUT): want more than 0\nSee 'nautobot-token provision --help'.\n"))
			},
			check.Failed, "job/nautobot-token/nautobot-token-x7k2p", "exit code 2, a mistake in the chart's values: --timeout (TIMEOUT): want more than 0", "helm",
		},
		"exit code 1": {
			func(w *world) {
				w.putJob(`{"type":"Failed","status":"True","reason":"BackoffLimitExceeded"}`, ended(1, `{"level":"ERROR","msg":"failed","error":"superuser token: there is no Secret"}`))
			},
			check.Failed, "job/nautobot-token/nautobot-token-x7k2p", "failed (BackoffLimitExceeded), and is not tried again: superuser token: there is no Secret", "nautobot-token/touched",
		},
		"Job is tried again": {
			func(w *world) {
				w.putJobAt("09:00:01", `"failed":1`, ended(1, `{"level":"ERROR","msg":"failed","error":"superuser token: there is no Secret"}`))
			},
			check.Warning, "job/nautobot-token/nautobot-token-x7k2p", "failed once, and is tried again: superuser token: there is no Secret", "logs job",
		},
		"a log of another kind": {
			func(w *world) {
				w.putJob(`{"type":"Failed","status":"True","reason":"BackoffLimitExceeded"}`, ended(1, password+"\n"+`{"level":"ERROR","msg":"another program","error":"`+key+`"}`))
			},
			check.Failed, "job/nautobot-token/nautobot-token-x7k2p", "its log has the reason", "logs job",
		},
		"no Job": {
			func(w *world) { w.kube.RemoveObject(jobObjects, "nautobot-token/nautobot-token-x7k2p") },
			check.Failed, "job/nautobot-token", "no Job for the change of the Secret at 2026-11-24T09:00:00Z", `kubectl -n openstack annotate secret nautobot-token nautobot-token/touched="$(date +%s)" --overwrite`,
		},
		"no CA": {
			func(w *world) {
				w.putRelease("nautobot-token", policyOf("openstack", "svc-*"),
					"            - {name: NAUTOBOT_CA_FILE, value: /etc/nautobot-token/ca/ca.crt}", "      volumes:", "        - {name: ca, configMap: {name: nautobot-ca}}")
			},
			check.Failed, "configmap/nautobot-token/nautobot-ca", "it is missing", "create configmap nautobot-ca --from-file=ca.crt=FILE",
		},
		"no superuser Secret": {
			func(w *world) { w.kube.Remove("nautobot/nautobot-superuser") },
			check.Failed, "secret/nautobot/nautobot-superuser", "it is missing", "kubectl -n nautobot create secret generic nautobot-superuser --from-file=apitoken=FILE",
		},
		"superuser Secret is empty": {
			func(w *world) { w.kube.Put("nautobot/nautobot-superuser", map[string]string{"apitoken": "\n"}) },
			check.Failed, "secret/nautobot/nautobot-superuser", "the keys apitoken and token are empty", "describe secret",
		},
		"superuser token": {
			func(w *world) { w.kube.Put("nautobot/nautobot-superuser", map[string]string{"apitoken": newKey}) },
			check.Failed, "nautobot/", "the superuser token is not accepted", "kubectl -n nautobot create secret generic nautobot-superuser",
		},
		"superuser Secret has the label": {
			func(w *world) {
				w.kube.Put("nautobot/nautobot-superuser", map[string]string{"apitoken": w.nautobot.Token})
			},
			check.Warning, "secret/nautobot/nautobot-superuser", "it has the label token/type", "token/type-",
		},
		"Nautobot is away": {
			func(w *world) { w.nautobot.Close() },
			check.Failed, "nautobot/", "connection refused", "curl",
		},
		"not in Nautobot": {
			func(w *world) {
				w.kube.Put("openstack/nautobot-token", map[string]string{"username": username, "password": password, "token": newKey})
			},
			check.Failed, "token/openstack/nautobot-token", "not in Nautobot yet", "nautobot-token/touched",
		},
		"account taken": {
			func(w *world) {
				w.putRelease("nautobot-token", policyOf("openstack", "*"))
				w.kube.Put("openstack/nautobot-token", map[string]string{"username": "admin", "password": password, "token": newKey})
			},
			check.Failed, "account/openstack/nautobot-token", `refused: "admin" is`, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newChainWorld(t)
			c.broken(w)
			findings, code := w.check(t, "nautobot-token")
			if c.status == check.Failed && code != exitFailed {
				t.Errorf("exit code %d", code)
			}
			for _, finding := range findings {
				if finding.Status == c.status && strings.HasPrefix(finding.Object, c.object) && strings.Contains(finding.Text, c.says) &&
					strings.Contains(strings.Join(finding.Mend, "\n"), c.mend) {
					return
				}
			}
			t.Errorf("no finding %s %s says %q and mends it with %q:\n%v", c.status, c.object, c.says, c.mend, findings)
		})
	}
}

// check runs the command, and reads its findings.
func (w *world) check(t *testing.T, args ...string) ([]check.Finding, int) {
	t.Helper()
	before := len(w.nautobot.Requests())
	got := w.run(t, append([]string{"check", "-o", "json"}, args...)...)
	for _, request := range w.nautobot.Requests()[before:] {
		if request.Method != http.MethodGet && request.Method != http.MethodOptions {
			t.Errorf("a request that may write: %v", request)
		}
	}
	var findings []check.Finding
	for line := range strings.Lines(got.stdout) {
		var finding check.Finding
		if err := json.Unmarshal([]byte(line), &finding); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		findings = append(findings, finding)
	}
	return findings, got.code
}

// What was wrong but is over does not count.
func TestCheckForgetsWhatIsOver(t *testing.T) {
	w := newChainWorld(t)
	w.kube.PutLog("nautobot-token/sensor", strings.Join([]string{
		at("09:10:00", `{"msg":"nats: bucket not found"}`),
		at("09:10:01", `{"msg":"Failed to execute a trigger","triggerName":"provision-openstack"}`),
		at("09:20:00", `{"msg":"Successfully processed trigger 'provision-openstack'","triggerName":"provision-openstack"}`),
	}, "\n"))
	w.kube.PutLog("nautobot-token/source", strings.Join([]string{
		at("09:10:00", `secrets is forbidden: User "system:serviceaccount:a:b" cannot list resource "secrets" in API group "" in the namespace "without-secrets"`),
		at("09:59:58", `secrets is forbidden: User "system:serviceaccount:a:b" cannot list resource "secrets" in API group "" in the namespace "openstack"`),
		at("09:10:01", `{"msg":"Failed to publish an event","error":"nats: no response from stream"}`),
		at("09:59:59", `{"msg":"Succeeded to publish an event","eventName":"openstack"}`),
	}, "\n"))
	findings, code := w.check(t, "nautobot-token")
	if code != exitDone {
		t.Errorf("exit code %d: %v", code, findings)
	}
}

// What may not be read is a warning that says so, and never a failure.
func TestCheckMayNotRead(t *testing.T) {
	w := newChainWorld(t)
	w.kube.Forbid("pods", "resourcequotas", "jobs", "cronjobs", "eventbus", "eventsources", "sensors", "externalsecrets", "events", "persistentvolumeclaims",
		"openstack/secrets", "nautobot/secrets", "/configmaps")
	findings, code := w.check(t, "nautobot-token")
	if code != exitDone {
		t.Errorf("exit code %d", code)
	}
	var warnings []string
	for _, finding := range findings {
		if finding.Status == check.Failed {
			t.Errorf("failed: %v", finding)
		}
		if strings.Contains(finding.Text, "may not") {
			warnings = append(warnings, finding.Object)
		}
	}
	for _, object := range []string{
		"externalsecret/openstack", "secret/openstack/nautobot-token", "keys/openstack/nautobot-token", "eventsource/nautobot-token", "sensor/nautobot-token",
		"resourcequota/nautobot-token", "job/nautobot-token", "secret/nautobot/nautobot-superuser",
	} {
		if !strings.Contains(strings.Join(warnings, " ")+" ", object+" ") {
			t.Errorf("%s does not say that it may not be read: %v", object, findings)
		}
	}
}

// Anybody can put the chart's labels on a ConfigMap: nothing secret goes where it
// points until a person has named its namespace.
func TestCheckSendsNothingToWhereAForgedReleasePoints(t *testing.T) {
	w := newChainWorld(t)
	for _, name := range []string{"nautobot-token-policy", "nautobot-token-job"} {
		w.kube.RemoveObject(configMaps, "nautobot-token/"+name)
	}
	w.putRelease("tenant", policyOf("openstack", "*"))
	before := len(w.nautobot.Requests())
	findings, _ := w.check(t, "nautobot-token")
	if n := len(w.nautobot.Requests()) - before; n > 0 {
		t.Errorf("%d requests", n)
	}
	found := false
	for _, finding := range findings {
		found = found || finding.Object == "nautobot" && finding.Status == check.Warning && strings.Contains(finding.Text, "--release-namespace")
	}
	if !found {
		t.Errorf("the findings do not say so: %v", findings)
	}
	if w.check(t, "nautobot-token", "--release-namespace", "tenant"); len(w.nautobot.Requests()) == before {
		t.Error("no request to a Nautobot of a release that was named")
	}
}

// The Secret's namespace decides between releases; a name can, too.
func TestCheckSeveralReleases(t *testing.T) {
	w := newChainWorld(t)
	w.putRelease("other", policyOf("elsewhere", "*"))
	findings, code := w.check(t, "nautobot-token")
	if code != exitDone || findings[0].Object != "release/nautobot-token/nautobot-token" {
		t.Errorf("exit code %d: %v", code, findings)
	}
	if findings, _ := w.check(t, "--release-namespace", "other"); findings[0].Object != "release/other/nautobot-token" {
		t.Errorf("%v", findings)
	}
	w.putRelease("tenant", policyOf("tenant", "*"))
	w.kube.Put("tenant/theirs", map[string]string{"username": "theirs"})
	findings, _ = w.check(t, "theirs", "-n", "tenant")
	if i := slices.IndexFunc(findings, func(f check.Finding) bool {
		return strings.Contains(f.Text, "because nautobot-token/nautobot-token has no rule for namespace tenant")
	}); i < 0 || findings[i].Status != check.Warning {
		t.Errorf("a release that may not be trusted was taken: %v", findings)
	}
	if findings, code := w.check(t, "--release", "absent"); code != exitFailed || !strings.Contains(findings[0].Text, "was not found") {
		t.Errorf("exit code %d: %v", code, findings)
	}
}

// A missing Job for a change is not blamed on the Job before it.
func TestCheckJobOfAnEarlierChange(t *testing.T) {
	w := newChainWorld(t)
	w.putJobAt("08:00:01", `"conditions":[{"type":"Complete","status":"True"}]`, "")
	findings, _ := w.check(t, "nautobot-token")
	if !slices.ContainsFunc(findings, func(f check.Finding) bool {
		return f.Object == "job/nautobot-token" && strings.HasPrefix(f.Text, "no Job for the change of the Secret")
	}) {
		t.Errorf("findings: %v", findings)
	}
}

// From a workstation, Nautobot may have to be called by a name that is in no Secret.
func TestCheckByAnotherName(t *testing.T) {
	w := newChainWorld(t)
	job := "            - {name: NAUTOBOT_URL, value: https://nautobot.nautobot.svc}"
	w.putRelease("nautobot-token", policyOf("openstack", "svc-*"), job)
	w.kube.Put("openstack/nautobot-token", map[string]string{"username": username, "password": password, "token": key, "hostname": "nautobot.nautobot.svc"})
	findings, code := w.check(t, "nautobot-token", "--nautobot-url", w.nautobot.URL)
	if code != exitDone {
		t.Errorf("exit code %d: %v", code, findings)
	}
	u, err := url.Parse(w.nautobot.URL)
	if err != nil {
		t.Fatal(err)
	}
	want := check.Finding{
		Object: "nautobot/" + u.Host, Status: check.Warning,
		Text: `the Jobs call Nautobot "nautobot.nautobot.svc"; whether that works cannot be seen from here`,
		Mend: []string{"helm -n nautobot-token test nautobot-token --logs"},
	}
	if !slices.ContainsFunc(findings, func(f check.Finding) bool { return cmp.Equal(f, want) }) {
		t.Errorf("want %v in %v", want, findings)
	}
	findings, code = w.check(t, "nautobot-token")
	want = check.Finding{
		Object: "nautobot/nautobot.nautobot.svc", Status: check.Warning,
		Text: "not known: nautobot.nautobot.svc is a name inside the cluster, and cannot be reached from here",
		Mend: []string{"helm -n nautobot-token test nautobot-token --logs"},
	}
	if !slices.ContainsFunc(findings, func(f check.Finding) bool { return cmp.Equal(f, want) }) || code != exitDone {
		t.Errorf("exit code %d, want %v in %v", code, want, findings)
	}
}

// Commands are for copying: what somebody wrote into an object stays a single word.
func TestCheckQuotes(t *testing.T) {
	w := newChainWorld(t)
	w.kube.PutObject(sensors, `{`+metadata("nautobot-token", "sensor", "")+`,"spec":{"eventBusName":"$(id)' x"},"status":{"conditions":[`+deployed+`]}}`)
	w.kube.PutLog("nautobot-token/sensor", at("09:20:00", `{"error":"nats: no suitable peers for placement"}`))
	findings, _ := w.check(t, "nautobot-token")
	const want = `for pod in $(kubectl -n nautobot-token get pod -l eventbus-name='$(id)'\'' x' -o name); do kubectl -n nautobot-token delete "$pod"; kubectl -n nautobot-token rollout status statefulset 'eventbus-$(id)'\'' x-js' --timeout=2m; done`
	if !slices.ContainsFunc(findings, func(f check.Finding) bool { return slices.Contains(f.Mend, want) }) {
		t.Errorf("no command %s in %v", want, findings)
	}
}

func TestCheckWithoutCluster(t *testing.T) {
	w := newChainWorld(t)
	w.kube.RefuseAll(http.StatusUnauthorized)
	findings, code := w.check(t, "nautobot-token")
	if code != exitFailed || len(findings) != 1 || findings[0].Object != "cluster" {
		t.Errorf("exit code %d: %v", code, findings)
	}
}

// What a signal ended has not failed, and there is nothing to fix.
func TestCheckIsStopped(t *testing.T) {
	w := newChainWorld(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	w.kube.Intercept(func(*http.Request, int) http.Handler {
		cancel(stoppedError{syscall.SIGTERM})
		return nil
	})
	w.runWith(ctx, t, "", "check", "nautobot-token").check(t, 143, "", "nautobot-token: stopped by a signal: terminated\n")
}

func TestCheckUsage(t *testing.T) {
	w := newChainWorld(t)
	for _, args := range [][]string{
		{"-n", "openstack"}, {"a", "b"}, {"A_B"}, {"--dry-run"}, {"-f", "x"}, {"--output", "xml"}, {"--release-namespace", "A_B"}, {"--nautobot-url", "ftp://x"},
	} {
		if got := w.run(t, append([]string{"check"}, args...)...); got.code != exitUsage || got.stdout != "" {
			t.Errorf("%v: %+v", args, got)
		}
	}
}
