//go:build e2e

package externalsecrets

import (
	"bytes"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// secret is the Secret, or nil if there is none.
func (c *chain) secret(t *testing.T) *corev1.Secret {
	t.Helper()
	var list corev1.SecretList
	get(t, "/api/v1/namespaces/"+c.namespace+"/secrets", &list)
	i := slices.IndexFunc(list.Items, func(s corev1.Secret) bool { return s.Name == secretName })
	if i < 0 {
		return nil
	}
	return &list.Items[i]
}

// waitForToken waits until the Secret is all it should be, with that token.
func (c *chain) waitForToken(t *testing.T, token string) *corev1.Secret {
	t.Helper()
	want := map[string]string{"hostname": "nautobot.example.com", "username": c.username, "password": c.password, "token": token}
	var secret *corev1.Secret
	eventually(t, func() error {
		if secret = c.secret(t); secret == nil || string(secret.Data["token"]) != token {
			return fmt.Errorf("the Secret does not have the new token; the ExternalSecret: %+v", c.status(t))
		}
		return nil
	})
	for key, value := range want {
		if string(secret.Data[key]) != value {
			t.Errorf("the Secret's %s is not the backend's", key)
		}
	}
	if len(secret.Data) != len(want) || secret.Labels["token/type"] != "nautobot" || secret.Type != corev1.SecretTypeOpaque {
		t.Errorf("the Secret has %d keys, the labels %v and the type %s", len(secret.Data), secret.Labels, secret.Type)
	}
	return secret
}

// status is that of an ExternalSecret.
type status struct {
	RefreshTime metav1.Time
	Conditions  []struct{ Type, Status, Reason string }
}

// ready is the reason of the condition Ready, if it has that value.
func (s status) ready(value string) string {
	for _, condition := range s.Conditions {
		if condition.Type == "Ready" && condition.Status == value {
			return condition.Reason
		}
	}
	return ""
}

func (c *chain) status(t *testing.T) status {
	t.Helper()
	var external struct{ Status status }
	get(t, "/apis/external-secrets.io/v1/namespaces/"+c.namespace+"/externalsecrets/"+secretName, &external)
	return external.Status
}

// waitForFailure waits until a refresh has failed, and an Event says why.
func (c *chain) waitForFailure(t *testing.T, why string) {
	t.Helper()
	eventually(t, func() error {
		if got := c.status(t); got.ready("False") != "SecretSyncedError" {
			return fmt.Errorf("the ExternalSecret's status: %+v, want SecretSyncedError", got)
		}
		var events corev1.EventList
		get(t, "/api/v1/namespaces/"+c.namespace+"/events", &events)
		var messages []string
		for _, event := range events.Items {
			messages = append(messages, event.Message)
		}
		said := strings.Join(messages, "\n")
		c.checkText(t, "an Event", said)
		if !strings.Contains(said, why) {
			return fmt.Errorf("no Event says %q:\n%s", why, said)
		}
		return nil
	})
}

// provision runs the program on the Secret and checks what it says it did with
// the account and its token.
func (c *chain) provision(t *testing.T, user, token string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), binary, "provision", secretName, "-n", c.namespace, "--rotation-grace=0")
	command.Env = []string{
		"HOME=" + t.TempDir(), "KUBECONFIG=" + cluster.Kubeconfig,
		"NAUTOBOT_URL=" + nautobot.URL, "NAUTOBOT_TOKEN=" + nautobot.Token, "NAUTOBOT_HOSTNAMES=nautobot.example.com",
	}
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	c.checkText(t, "the program's output", stdout.String()+stderr.String())
	if err != nil {
		t.Fatalf("nautobot-token: %v\n%s", err, stderr.String())
	}
	var got []string
	for line := range strings.Lines(stdout.String()) {
		// The first of all accounts gets its group and permission made, too.
		if line = strings.Join(strings.Fields(line), " "); !strings.HasPrefix(line, "group/") && !strings.HasPrefix(line, "permission/") {
			got = append(got, line)
		}
	}
	want := []string{"user/" + c.username + " " + user, "token/" + c.namespace + "/" + secretName + " " + token}
	if !slices.Equal(got, want) {
		t.Errorf("nautobot-token did %q, want %q\n%s", got, want, stderr.String())
	}
}

// wantToken checks what Nautobot answers to somebody with that token.
func wantToken(t *testing.T, what, token string, status int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, nautobot.URL+"/api/users/config/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Token "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != status {
		t.Errorf("%s: Nautobot answers %s, want %d", what, response.Status, status)
	}
}

// checkControllerLog looks for secrets in what the controller has logged.
func (c *chain) checkControllerLog(t *testing.T) {
	t.Helper()
	log, err := controller.Log()
	if err != nil {
		t.Error(err)
	} else if !strings.Contains(log, c.namespace) {
		t.Error("the controller's log does not mention the namespace: this is not its log")
	}
	c.checkText(t, "the controller's log", log)
}

// checkText looks for secrets in a text.
func (c *chain) checkText(t *testing.T, what, text string) {
	t.Helper()
	for i, secret := range c.secrets {
		if strings.Contains(text, secret) {
			t.Errorf("%s holds secret %d", what, i)
		}
	}
}
