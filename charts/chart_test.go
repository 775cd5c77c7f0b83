package charts

import (
	stdcmp "cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/argoproj/argo-events/pkg/apis/events/v1alpha1"
	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	psa "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// What `helm lint --strict` says.
func TestLint(t *testing.T) {
	for name, values := range valuesFiles(t) {
		result := lint.AllWithKubeVersion(chartDir, values, namespace, &kubeVersion)
		for _, message := range result.Messages {
			if message.Severity >= support.WarningSev {
				t.Errorf("%s: %v", name, message)
			}
		}
	}
}

// Every object is read strictly by mustRender.
func TestRender(t *testing.T) {
	for name, values := range valuesFiles(t) {
		t.Run(name, func(t *testing.T) {
			r := mustRender(t, values, chartutil.ReleaseOptions{})
			texts, _ := render(t, values, chartutil.ReleaseOptions{})
			for file, text := range texts {
				if strings.Contains(text, "<no value>") || strings.Contains(text, "%!") || strings.Contains(text, " \n") {
					t.Errorf("%s has a hole:\n%s", file, text)
				}
			}
			checkObjects(t, r, namespace)
			checkPodSecurity(t, r)
		})
	}
}

// checkObjects looks for names and labels that a cluster would refuse, and for
// objects that would overwrite each other.
func checkObjects(t *testing.T, r rendered, release string) {
	t.Helper()
	seen := map[string]bool{}
	for _, o := range r.objects {
		kind := o.GetObjectKind().GroupVersionKind().Kind
		id := fmt.Sprintf("%s %s/%s", kind, o.GetNamespace(), o.GetName())
		if seen[id] {
			t.Errorf("%s is there twice", id)
		}
		seen[id] = true
		_, isRole := o.(*rbacv1.Role)
		_, isBinding := o.(*rbacv1.RoleBinding)
		problems := validation.IsDNS1123Label(o.GetName())
		if isRole || isBinding || strings.HasPrefix(kind, "ClusterRole") {
			problems = validation.IsDNS1123Subdomain(o.GetName())
		}
		if problems != nil {
			t.Errorf("%s: %v", id, problems)
		}
		_, isClusterRole := o.(*rbacv1.ClusterRole)
		_, isClusterBinding := o.(*rbacv1.ClusterRoleBinding)
		ofCluster := isClusterRole || isClusterBinding
		if (o.GetNamespace() == "") != ofCluster {
			t.Errorf("%s has the wrong scope", id)
		}
		if o.GetNamespace() != release && !isRole && !isBinding && !ofCluster {
			t.Errorf("%s is outside of the release's namespace", id)
		}
		checkLabels(t, id, o.GetLabels())
	}
	if instance, ok := r.job.Labels["app.kubernetes.io/instance"]; ok {
		t.Errorf("the Job has instance %s: Argo CD would prune it", instance)
	}
	for _, cronJob := range r.cronJobs { // a Job is called after it, and 11 characters more
		if len(cronJob.Name) > 52 {
			t.Errorf("CronJob %s has %d characters", cronJob.Name, len(cronJob.Name))
		}
		if instance, ok := cronJob.Spec.JobTemplate.Labels["app.kubernetes.io/instance"]; ok {
			t.Errorf("the Jobs of %s have instance %s: Argo CD would prune them", cronJob.Name, instance)
		}
		checkLabels(t, cronJob.Name+"'s Pod", cronJob.Spec.JobTemplate.Spec.Template.Labels)
	}
	checkLabels(t, "Job's Pod", r.job.Spec.Template.Labels)
	checkLabels(t, "EventSource's Pod", r.eventSource.Spec.Template.Metadata.Labels)
	checkLabels(t, "Sensor's Pod", r.sensor.Spec.Template.Metadata.Labels)
	for _, trigger := range r.sensor.Spec.Triggers { // Argo Events makes labels of the Job of them
		if problems := validation.IsValidLabelValue(trigger.Template.Name); problems != nil {
			t.Errorf("trigger %s: %v", trigger.Template.Name, problems)
		}
	}
	if prefix := r.job.GenerateName; len(prefix) > 58 || validation.IsDNS1123Label(prefix+"12345") != nil {
		t.Errorf("a Job cannot be called %s12345", prefix)
	}
}

func checkLabels(t *testing.T, of string, labels map[string]string) {
	t.Helper()
	for _, wanted := range []string{"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"} {
		if labels[wanted] == "" {
			t.Errorf("%s has no label %s", of, wanted)
		}
	}
	for key, value := range labels {
		if problems := append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...); problems != nil {
			t.Errorf("%s: label %s=%s: %v", of, key, value, problems)
		}
	}
}

// pods are all that the objects lead to, as Argo's controllers put those of
// the EventSource, of the Sensor and of the EventBus together.
func pods(r rendered) map[string]corev1.PodTemplateSpec {
	argo := func(template *v1alpha1.Template) corev1.PodTemplateSpec {
		container := corev1.Container{Name: "main", Image: "argo-events"}
		template.Container.ApplyToContainer(&container)
		return corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: template.Metadata.Labels},
			Spec: corev1.PodSpec{
				SecurityContext: template.SecurityContext,
				Containers:      []corev1.Container{container},
				Volumes:         template.Volumes,
			},
		}
	}
	all := map[string]corev1.PodTemplateSpec{
		"job":     r.job.Spec.Template,
		"watcher": argo(r.eventSource.Spec.Template),
		"sensor":  argo(r.sensor.Spec.Template),
	}
	if r.revokeJob != nil {
		all["revoke"] = r.revokeJob.Spec.Template
	}
	for _, cronJob := range r.cronJobs {
		all[strings.TrimPrefix(cronJob.Name, release+"-")] = cronJob.Spec.JobTemplate.Spec.Template
	}
	if r.test != nil {
		all["job, to test with"] = corev1.PodTemplateSpec{ObjectMeta: r.test.ObjectMeta, Spec: r.test.Spec}
	}
	if r.eventBus != nil {
		bus := r.eventBus.Spec.JetStream
		all["eventbus"] = corev1.PodTemplateSpec{
			// The controller's own labels come on top.
			ObjectMeta: metav1.ObjectMeta{Labels: labels.Merge(bus.Metadata.Labels, labels.Set{
				"controller": "eventbus-controller", "eventbus-name": r.eventBus.Name, "owner-name": r.eventBus.Name,
			})},
			Spec: corev1.PodSpec{
				SecurityContext: bus.SecurityContext,
				Containers: []corev1.Container{
					{Name: "main", SecurityContext: bus.ContainerTemplate.SecurityContext},
					{Name: "reloader", SecurityContext: bus.ReloaderContainerTemplate.SecurityContext},
					{Name: "metrics", SecurityContext: bus.MetricsContainerTemplate.SecurityContext},
				},
			},
		}
	}
	return all
}

func checkPodSecurity(t *testing.T, r rendered) {
	t.Helper()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := psa.LevelVersion{Level: psa.LevelRestricted, Version: psa.LatestVersion()}
	for name, pod := range pods(r) {
		for _, result := range evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec) {
			if !result.Allowed {
				t.Errorf("%s: Pod Security restricted: %s: %s", name, result.ForbiddenReason, result.ForbiddenDetail)
			}
		}
		for _, container := range pod.Spec.Containers {
			if readOnly := container.SecurityContext.ReadOnlyRootFilesystem; readOnly == nil || !*readOnly {
				t.Errorf("%s: %s may write to its root", name, container.Name)
			}
		}
		if user := pod.Spec.SecurityContext.RunAsUser; user != nil && *user == 0 {
			t.Errorf("%s runs as root", name)
		}
	}
}

func TestNamesAtTheirLimits(t *testing.T) {
	long := func(n int) string { return strings.Repeat("abcdefghi-", 7)[:n] }
	minimal := valuesFiles(t)["minimal"]
	minimal = with(minimal, "networkPolicy.enabled", true)
	minimal = with(minimal, "rules", []any{map[string]any{"namespace": long(63), "usernames": []any{"*"}}})
	for n := range 64 {
		if n == 0 || long(n)[n-1] == '-' {
			continue
		}
		cases := map[string]map[string]any{"fullnameOverride": with(minimal, "fullnameOverride", long(n))}
		if n <= 53 { // Helm's own limit
			cases["release"] = minimal
		}
		for name, values := range cases {
			r := mustRender(t, values, chartutil.ReleaseOptions{Name: long(min(n, 53)), Namespace: long(63)})
			checkObjects(t, r, long(63))
			if len("eventbus-"+r.eventBus.Name+"-js-0123456789") > 63 {
				t.Errorf("%s, %d: the EventBus's name %s is too long for a label of its Pods", name, n, r.eventBus.Name)
			}
			if t.Failed() {
				t.Fatalf("with %s of %d characters", name, n)
			}
		}
	}
}

// The whole of what the ServiceAccounts may do.
func TestRights(t *testing.T) {
	for name, want := range map[string][]string{
		"minimal": {
			"nautobot: nautobot-token-job may get secrets [nautobot-superuser]",
			"nautobot: nautobot-token-sensor may create jobs.batch",
			"nautobot: nautobot-token-sync may get secrets [nautobot-superuser]",
			"openstack: nautobot-token-job may create events",
			"openstack: nautobot-token-job may get secrets",
			"openstack: nautobot-token-sync may create events",
			"openstack: nautobot-token-sync may get,list secrets",
			"openstack: nautobot-token-watcher may list,watch secrets",
		},
		"externalsecret": {
			"argo-events: nautobot-token-job may create events",
			"argo-events: nautobot-token-job may get secrets",
			"argo-events: nautobot-token-sync may create events",
			"argo-events: nautobot-token-sync may get,list secrets",
			"argo-events: nautobot-token-watcher may list,watch externalsecrets.external-secrets.io",
			"cluster: nautobot-token-job may get namespaces [openstack]",
			"nautobot: nautobot-token-job may get secrets [nautobot-superuser]",
			"nautobot: nautobot-token-sensor may create jobs.batch",
			"nautobot: nautobot-token-sync may get secrets [nautobot-superuser]",
			"openstack: nautobot-token-job may create events",
			"openstack: nautobot-token-job may get secrets [nautobot-token]",
			"openstack: nautobot-token-sync may create events",
			"openstack: nautobot-token-sync may get secrets [nautobot-token]",
			"openstack: nautobot-token-watcher may list,watch externalsecrets.external-secrets.io",
		},
		"global": {
			"argo-events: nautobot-token-job may create events",
			"argo-events: nautobot-token-job may get secrets [nautobot-token]",
			"argo-events: nautobot-token-sync may create events",
			"argo-events: nautobot-token-sync may get secrets [nautobot-token]",
			"argo-events: nautobot-token-watcher may list,watch externalsecrets.external-secrets.io",
			"nautobot: nautobot-token-job may create events",
			"nautobot: nautobot-token-job may get secrets [nautobot-superuser]",
			"nautobot: nautobot-token-job may get secrets [rxdb-lab-token]",
			"nautobot: nautobot-token-sensor may create jobs.batch",
			"nautobot: nautobot-token-sync may create events",
			"nautobot: nautobot-token-sync may get secrets [nautobot-superuser]",
			"nautobot: nautobot-token-sync may get secrets [rxdb-lab-token]",
			"nautobot: nautobot-token-watcher may list,watch externalsecrets.external-secrets.io",
			"openstack: nautobot-token-job may create events",
			"openstack: nautobot-token-job may get secrets [nautobot-token]",
			"openstack: nautobot-token-sync may create events",
			"openstack: nautobot-token-sync may get secrets [nautobot-token]",
			"openstack: nautobot-token-watcher may list,watch externalsecrets.external-secrets.io",
		},
		"full": {
			"123: j may create events",
			"123: j may get secrets",
			"123: sy may create events",
			"123: sy may get,list secrets",
			"123: w may list,watch secrets",
			"cluster: j may get namespaces [openstack]",
			"cluster: sy may get namespaces [openstack]",
			"nautobot: s may create jobs.batch",
			"openstack: j may create events",
			"openstack: j may get secrets [extra.token nautobot-token second]",
			"openstack: sy may create events",
			"openstack: sy may get secrets [extra.token nautobot-token second]",
			"openstack: w may list,watch secrets",
			"secrets: j may get secrets [superuser]",
			"secrets: sy may get secrets [superuser]",
		},
		"own-accounts": nil,
	} {
		got := rights(t, mustRender(t, valuesFiles(t)[name], chartutil.ReleaseOptions{}))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

// In none of the examples may anybody list the Secrets of the namespace where
// the superuser's is.
func TestNobodyListsTheSuperuserSecret(t *testing.T) {
	for _, name := range []string{"global", "site", "migration", "migration-api-tokens"} {
		values := valuesFiles(t)[name]
		superuser, _ := at(values, "superuserSecret.namespace")
		for _, right := range rights(t, mustRender(t, values, chartutil.ReleaseOptions{Namespace: release})) {
			if strings.HasPrefix(right, fmt.Sprint(superuser, ": ")) && strings.Contains(right, "list") && strings.HasSuffix(right, " secrets") {
				t.Errorf("%s: %s", name, right)
			}
		}
	}
}

func rights(t *testing.T, r rendered) []string {
	t.Helper()
	roles := map[string]*rbacv1.Role{}
	accounts := []string{
		r.job.Spec.Template.Spec.ServiceAccountName,
		r.eventSource.Spec.Template.ServiceAccountName,
		r.sensor.Spec.Template.ServiceAccountName,
	}
	for _, cronJob := range r.cronJobs {
		accounts = append(accounts, cronJob.Spec.JobTemplate.Spec.Template.Spec.ServiceAccountName)
	}
	var all []string
	for _, o := range r.objects {
		switch role := o.(type) {
		case *rbacv1.Role:
			roles["Role "+role.Namespace+"/"+role.Name] = role
		case *rbacv1.ClusterRole:
			roles["ClusterRole "+role.Name] = &rbacv1.Role{Rules: role.Rules}
		}
	}
	note := func(role *rbacv1.Role, name string, subject rbacv1.Subject) {
		if role == nil || subject.Namespace != r.sensor.Namespace || !slices.Contains(accounts, subject.Name) {
			t.Errorf("%s binds nothing, or nobody of ours", name)
			return
		}
		for _, rule := range role.Rules {
			what := rule.Resources[0]
			if group := rule.APIGroups[0]; group != "" {
				what += "." + group
			}
			line := fmt.Sprintf("%s: %s may %s %s", stdcmp.Or(role.Namespace, "cluster"), subject.Name, strings.Join(rule.Verbs, ","), what)
			if len(rule.ResourceNames) > 0 {
				line += fmt.Sprint(" ", rule.ResourceNames)
			}
			all = append(all, line)
		}
	}
	for _, o := range r.objects {
		switch binding := o.(type) {
		case *rbacv1.RoleBinding:
			for _, subject := range binding.Subjects {
				note(roles["Role "+binding.Namespace+"/"+binding.RoleRef.Name], binding.Name, subject)
			}
		case *rbacv1.ClusterRoleBinding:
			for _, subject := range binding.Subjects {
				note(roles["ClusterRole "+binding.RoleRef.Name], binding.Name, subject)
			}
		}
	}
	slices.Sort(all)
	return all
}

// Every ServiceAccount that a Pod uses is one that the chart makes, or one
// that values name.
func TestServiceAccounts(t *testing.T) {
	for name, values := range valuesFiles(t) {
		r := mustRender(t, values, chartutil.ReleaseOptions{})
		made := map[string]bool{}
		for _, o := range r.objects {
			if account, ok := o.(*corev1.ServiceAccount); ok {
				made[account.Name] = true
			}
		}
		for part, account := range map[string]string{
			"job":     r.job.Spec.Template.Spec.ServiceAccountName,
			"watcher": r.eventSource.Spec.Template.ServiceAccountName,
			"sensor":  r.sensor.Spec.Template.ServiceAccountName,
			"sync":    syncAccount(r),
		} {
			if account == "" {
				continue
			}
			given, _ := at(values, "serviceAccounts."+part+".create")
			if create := given == nil || given == true; create != made[account] {
				t.Errorf("%s: %s uses ServiceAccount %s; made: %v", name, part, account, made)
			}
		}
	}
}

// Selectors choose the Pods that they are meant for, and no others.
func TestSelectors(t *testing.T) {
	r := mustRender(t, valuesFiles(t)["externalsecret"], chartutil.ReleaseOptions{}) // it has all kinds of Pods
	want := map[string][]string{
		"NetworkPolicy nautobot-token-job":            {"job", "job, to test with", "revoke", "sync", "sync-quick"},
		"NetworkPolicy nautobot-token-argo":           {"sensor", "watcher"},
		"NetworkPolicy nautobot-token-eventbus":       {"eventbus"},
		"PodDisruptionBudget nautobot-token-eventbus": {"eventbus"},
		"argo to":       {"eventbus"},
		"eventbus from": {"sensor", "watcher"},
	}
	got := map[string][]string{}
	choose := func(name string, selector *metav1.LabelSelector) {
		s, err := metav1.LabelSelectorAsSelector(selector)
		if err != nil {
			t.Fatal(err)
		}
		for pod, template := range pods(r) {
			if s.Matches(labels.Set(template.Labels)) {
				got[name] = append(got[name], pod)
			}
		}
		slices.Sort(got[name])
	}
	for _, o := range r.objects {
		switch o := o.(type) {
		case *networkingv1.NetworkPolicy:
			choose("NetworkPolicy "+o.Name, &o.Spec.PodSelector)
			if strings.HasSuffix(o.Name, "-argo") {
				choose("argo to", o.Spec.Egress[2].To[0].PodSelector)
			}
			if strings.HasSuffix(o.Name, "-eventbus") {
				choose("eventbus from", o.Spec.Ingress[0].From[0].PodSelector)
			}
		case *policyv1.PodDisruptionBudget:
			choose("PodDisruptionBudget "+o.Name, o.Spec.Selector)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// The Job may reach the port of Nautobot's URL.
func TestNautobotPort(t *testing.T) {
	for url, want := range map[string]int{
		"https://nautobot.example.com":         443,
		"https://nautobot.example.com/x":       443,
		"http://localhost/":                    80,
		"https://nautobot.example.com:8443":    8443,
		"https://[2001:db8::1]:8443/nautobot/": 8443,
		"https://[2001:db8::1]/":               443,
	} {
		values := with(with(valuesFiles(t)["minimal"], "nautobot.url", url), "networkPolicy.enabled", true)
		for _, o := range mustRender(t, values, chartutil.ReleaseOptions{}).objects {
			if np, ok := o.(*networkingv1.NetworkPolicy); ok && strings.HasSuffix(np.Name, "-job") {
				if got := np.Spec.Egress[2].Ports[0].Port.IntValue(); got != want {
					t.Errorf("%s: port %d", url, got)
				}
			}
		}
	}
}

func TestJob(t *testing.T) {
	job := mustRender(t, valuesFiles(t)["minimal"], chartutil.ReleaseOptions{}).job
	pod := job.Spec.Template.Spec
	container := pod.Containers[0]
	policy := job.Spec.PodFailurePolicy.Rules
	switch {
	case pod.RestartPolicy != corev1.RestartPolicyNever:
		t.Error("podFailurePolicy needs restartPolicy Never")
	case *pod.EnableServiceLinks:
		t.Error("service links are on")
	case container.TerminationMessagePolicy != corev1.TerminationMessageFallbackToLogsOnError:
		t.Error("a reason would not be in the termination message")
	case *policy[0].OnExitCodes.ContainerName != container.Name || !cmp.Equal(policy[0].OnExitCodes.Values, []int32{2, 3}):
		t.Errorf("exit codes 2 and 3 of %s do not fail the Job: %v", container.Name, policy[0])
	case policy[1].OnPodConditions[0].Type != corev1.DisruptionTarget:
		t.Errorf("evictions count as failures: %v", policy[1])
	case *job.Spec.TTLSecondsAfterFinished == 0:
		t.Error("a finished Job cannot be looked at")
	case pod.ActiveDeadlineSeconds == nil:
		t.Error("without a deadline the Pod does not count for the ResourceQuota")
	}
}

func TestNotes(t *testing.T) {
	files := valuesFiles(t)
	files["superuser"] = with(files["minimal"], "rules", []any{map[string]any{"namespace": "nautobot", "usernames": []any{"*"}}})
	files["revocable"] = without(files["externalsecret"], "revoke")
	for name, wanted := range map[string][]string{
		"minimal":        {"kubectl -n nautobot get secret nautobot-superuser", "`cluster` is not set", "create job --from=cronjob/nautobot-token-sync nautobot-token-now", "without checking passwords"},
		"externalsecret": {"where a rule says `revoke` (in openstack), 1m after it was deleted. Deletions whose event", "The EventBus has no volumes", "delete pod -l sensor-name=nautobot-token", "helm -n nautobot test nautobot-token"},
		"existing-bus":   {"EventBus default does not belong to this release", "sent to Nautobot unencrypted", "`sync` is off", "delete pod -l eventsource-name=nautobot-token"},
		"full":           {"`sync.suspend` is set", "3m after it was deleted, and by the full sync."},
		"superuser":      {"A rule is for namespace nautobot, so the EventSource may read the superuser Secret as well"},
		"revocable":      {"A rule says `revoke`, but nothing carries it out"},
		"global":         {"argo-events, nautobot, openstack", "kubectl -n argo-events get events", "kubectl -n openstack get events"},
	} {
		notes := mustRender(t, files[name], chartutil.ReleaseOptions{}).notes
		for _, want := range wanted {
			if !strings.Contains(notes, want) {
				t.Errorf("%s: the notes lack %q:\n%s", name, want, notes)
			}
		}
	}
}
