package charts

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v3/pkg/chartutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// alertsTest is what promtool runs: series as Argo Events and kube-state-metrics
// have them, and the alerts that they lead to.
const alertsTest = `
rule_files: [rules.yaml]
evaluation_interval: 1m
tests:
  - name: all is well, and other releases are no concern
    interval: 1m
    input_series:
      - {series: 'argo_events_event_service_running_total{namespace="nautobot",eventsource_name="nautobot-token"}', values: '1x60'}
      - {series: 'argo_events_events_processing_failed_total{namespace="nautobot",eventsource_name="nautobot-token",event_name="openstack"}', values: '3x60'}
      - {series: 'argo_events_events_processing_failed_total{namespace="other",eventsource_name="nautobot-token",event_name="openstack"}', values: '0+1x60'}
      - {series: 'kube_job_failed{namespace="nautobot",job_name="nautobot-token-another-abcde",condition="true"}', values: '1x60'}
      - {series: 'kube_job_failed{namespace="nautobot",job_name="nautobot-token-abcde",condition="false"}', values: '1x60'}
      - {series: 'kube_resourcequota{namespace="nautobot",resourcequota="nautobot-token-job",resource="pods",type="hard"}', values: '10x60'}
      - {series: 'kube_resourcequota{namespace="nautobot",resourcequota="nautobot-token-job",resource="pods",type="used"}', values: '9x60'}
      # The quick sync succeeded after its last start, the full one is on its way.
      - {series: 'kube_cronjob_status_last_schedule_time{namespace="nautobot",cronjob="nautobot-token-sync-quick"}', values: '0x60'}
      - {series: 'kube_cronjob_status_last_successful_time{namespace="nautobot",cronjob="nautobot-token-sync-quick"}', values: '60x60'}
      - {series: 'kube_cronjob_next_schedule_time{namespace="nautobot",cronjob="nautobot-token-sync-quick"}', values: '7200x60'}
      - {series: 'kube_cronjob_status_last_schedule_time{namespace="nautobot",cronjob="nautobot-token-sync"}', values: '_x30 1800x30'}
      - {series: 'kube_cronjob_next_schedule_time{namespace="nautobot",cronjob="nautobot-token-sync"}', values: '1800x30 90000x30'}
      - {series: 'kube_cronjob_status_last_schedule_time{namespace="other",cronjob="nautobot-token-sync"}', values: '0x60'}
    alert_rule_test:
      - {eval_time: 50m, alertname: NautobotTokenSyncStale}
      - {eval_time: 50m, alertname: NautobotTokenQuickSyncStale}
      - {eval_time: 50m, alertname: NautobotTokenJobFailed}
      - {eval_time: 50m, alertname: NautobotTokenEventNotSent}
      - {eval_time: 50m, alertname: NautobotTokenJobNotCreated}
      - {eval_time: 50m, alertname: NautobotTokenNotWatching}
      - {eval_time: 50m, alertname: NautobotTokenQuotaFull}
  - name: everything fails
    interval: 1m
    input_series: # a counter begins with its first failure
      - {series: 'argo_events_events_processing_failed_total{namespace="nautobot",eventsource_name="nautobot-token",event_name="openstack"}', values: '_x19 1x60'}
      - {series: 'argo_events_action_retries_failed_total{namespace="nautobot",sensor_name="nautobot-token",trigger_name="provision-openstack"}', values: '4x18 5x60'}
      - {series: 'kube_job_failed{namespace="nautobot",job_name="nautobot-token-abcde",condition="true"}', values: '1x60'}
      - {series: 'kube_resourcequota{namespace="nautobot",resourcequota="nautobot-token-job",resource="pods",type="hard"}', values: '10x60'}
      - {series: 'kube_resourcequota{namespace="nautobot",resourcequota="nautobot-token-job",resource="pods",type="used"}', values: '10x60'}
    promql_expr_test:
      - expr: count by (alertname) (ALERTS{alertstate="firing"})
        eval_time: 25m
        exp_samples:
          - {labels: '{alertname="NautobotTokenJobFailed"}', value: 1}
          - {labels: '{alertname="NautobotTokenEventNotSent"}', value: 1}
          - {labels: '{alertname="NautobotTokenJobNotCreated"}', value: 1}
          - {labels: '{alertname="NautobotTokenNotWatching"}', value: 1}
      - expr: count by (alertname) (ALERTS{alertstate="firing"}) # what is over is over
        eval_time: 45m
        exp_samples:
          - {labels: '{alertname="NautobotTokenJobFailed"}', value: 1}
          - {labels: '{alertname="NautobotTokenNotWatching"}', value: 1}
          - {labels: '{alertname="NautobotTokenQuotaFull"}', value: 1}
  - name: a sync fails, and another never succeeded
    interval: 1m
    input_series: # one run that failed is over when the next one succeeds
      - {series: 'argo_events_event_service_running_total{namespace="nautobot",eventsource_name="nautobot-token"}', values: '1x300'}
      - {series: 'kube_cronjob_status_last_schedule_time{namespace="nautobot",cronjob="nautobot-token-sync-quick"}', values: '0x59 3600x59 7200x59 10800x59 14400x59'}
      - {series: 'kube_cronjob_status_last_successful_time{namespace="nautobot",cronjob="nautobot-token-sync-quick"}', values: '_x65 3660x240'}
      - {series: 'kube_cronjob_next_schedule_time{namespace="nautobot",cronjob="nautobot-token-sync-quick"}', values: '3600x59 7200x59 10800x59 14400x59 18000x59'}
      - {series: 'kube_cronjob_status_last_schedule_time{namespace="nautobot",cronjob="nautobot-token-sync"}', values: '0x300'}
      - {series: 'kube_cronjob_next_schedule_time{namespace="nautobot",cronjob="nautobot-token-sync"}', values: '86400x300'}
    promql_expr_test:
      - expr: count by (alertname) (ALERTS{alertstate="firing"})
        eval_time: 100m
      - expr: count by (alertname) (ALERTS{alertstate="firing"})
        eval_time: 130m
        exp_samples:
          - {labels: '{alertname="NautobotTokenSyncStale"}', value: 1}
      - expr: count by (alertname) (ALERTS{alertstate="firing"})
        eval_time: 235m
        exp_samples:
          - {labels: '{alertname="NautobotTokenSyncStale"}', value: 1}
          - {labels: '{alertname="NautobotTokenQuickSyncStale"}', value: 1}
  - name: nothing starts them
    interval: 1m
    input_series:
      - {series: 'argo_events_event_service_running_total{namespace="nautobot",eventsource_name="nautobot-token"}', values: '1x300'}
      - {series: 'kube_cronjob_next_schedule_time{namespace="nautobot",cronjob="nautobot-token-sync-quick"}', values: '600x300'}
    promql_expr_test:
      - expr: count by (alertname) (ALERTS{alertstate="firing"})
        eval_time: 110m
      - expr: count by (alertname) (ALERTS{alertstate="firing"})
        eval_time: 130m
        exp_samples:
          - {labels: '{alertname="NautobotTokenQuickSyncStale"}', value: 1}
`

// The alerts, by Prometheus' own tool, which PROMTOOL names.
func TestAlerts(t *testing.T) {
	promtool := os.Getenv("PROMTOOL")
	if promtool == "" {
		t.Skip("PROMTOOL is not set")
	}
	r := mustRender(t, with(valuesFiles(t)["minimal"], "monitoring.enabled", true), chartutil.ReleaseOptions{})
	rules, err := yaml.Marshal(prometheusRule(t, r).Spec)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	write(t, filepath.Join(folder, "rules.yaml"), rules)
	write(t, filepath.Join(folder, "test.yaml"), []byte(alertsTest))
	for _, args := range [][]string{{"check", "rules", "--lint-fatal", "rules.yaml"}, {"test", "rules", "test.yaml"}} {
		command := exec.CommandContext(t.Context(), promtool, args...)
		command.Dir = folder
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

func prometheusRule(t *testing.T, r rendered) *monitoringv1.PrometheusRule {
	t.Helper()
	for _, o := range r.objects {
		if rule, ok := o.(*monitoringv1.PrometheusRule); ok {
			return rule
		}
	}
	t.Fatal("there is no PrometheusRule")
	return nil
}

// Whoever is woken finds out why, and what to do.
func TestEveryAlertSaysWhatToDo(t *testing.T) {
	operations, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range prometheusRule(t, mustRender(t, valuesFiles(t)["full"], chartutil.ReleaseOptions{})).Spec.Groups {
		for _, rule := range group.Rules {
			page, anchor, ok := strings.Cut(rule.Annotations["runbook_url"], "#")
			if page != "https://runbooks.example.com/nautobot-token" || !ok || anchor == "" || rule.Annotations["summary"] == "" {
				t.Errorf("%s: %v", rule.Alert, rule.Annotations)
			}
			if !strings.Contains(string(operations), `<a id="`+anchor+`"></a>`) {
				t.Errorf("%s: docs/operations.md has no row %s", rule.Alert, anchor)
			}
		}
	}
}

// The PodMonitor chooses the Pods of Argo Events, which have metrics, and not
// those of Jobs.
func TestPodMonitor(t *testing.T) {
	r := mustRender(t, with(valuesFiles(t)["minimal"], "monitoring.enabled", true), chartutil.ReleaseOptions{})
	for _, o := range r.objects {
		monitor, ok := o.(*monitoringv1.PodMonitor)
		if !ok {
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(&monitor.Spec.Selector)
		if err != nil {
			t.Fatal(err)
		}
		var chosen []string
		for name, pod := range pods(r) {
			if selector.Matches(labels.Set(pod.Labels)) {
				chosen = append(chosen, name)
			}
		}
		slices.Sort(chosen)
		if want := []string{"eventbus", "sensor", "watcher"}; !slices.Equal(chosen, want) {
			t.Errorf("%v are chosen, want %v", chosen, want)
		}
		return
	}
	t.Error("there is no PodMonitor")
}
