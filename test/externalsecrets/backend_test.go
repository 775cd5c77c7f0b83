//go:build e2e

package externalsecrets

import (
	"fmt"
	"net/http"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The interval is shorter than the example's, and nothing else is needed: what
// changes in the backend arrives by itself.
func TestOpenBao(t *testing.T) {
	t.Parallel()
	c := newChain(t, "vault.yaml", openBao.URL, openBao, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "vault-token"},
		StringData: map[string]string{"token": openBao.Token},
	})
	c.external["spec"].(object)["refreshInterval"] = "1s"
	c.test(t)
}

// The interval is the example's, an hour: what changes in the backend arrives
// when somebody asks for it by an annotation.
func TestPasswordSafe(t *testing.T) {
	t.Parallel()
	c := newChain(t, "passwordsafe.yaml", passwordSafe.URL, passwordSafe, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name:   "passwordsafe-api-key",
			Labels: map[string]string{"external-secrets.io/type": "webhook"},
		},
		StringData: map[string]string{"apiKey": passwordSafe.APIKey},
	})
	c.byHand = true
	c.test(t)
}

func (c *chain) test(t *testing.T) {
	first, second, third := c.newToken(), c.newToken(), c.newToken()

	c.putToken(t, first)
	c.start(t)
	c.waitForToken(t, first)
	c.provision(t, "created", "created")
	wantToken(t, "the first token", first, http.StatusOK)

	c.putToken(t, second)
	c.refresh(t)
	c.waitForToken(t, second)
	c.provision(t, "unchanged", "created 1 superseded token deleted")
	wantToken(t, "the second token", second, http.StatusOK)
	wantToken(t, "the first token, superseded", first, http.StatusForbidden)

	secret := c.refreshUnchanged(t)
	c.provision(t, "unchanged", "unchanged")

	// What is wrong in the backend takes nothing away. After a failure the
	// clock goes slower and slower.
	c.byHand = true
	c.put(t, map[string]string{"password": c.password})
	c.refresh(t)
	c.waitForFailure(t, `map has no entry for key "token"`)
	c.wantUntouched(t, secret)
	if err := c.backend.Delete(t.Context(), entry); err != nil {
		t.Fatal(err)
	}
	c.refresh(t)
	c.waitForFailure(t, "Secret does not exist")
	c.wantUntouched(t, secret)
	wantToken(t, "the second token", second, http.StatusOK)

	c.putToken(t, third)
	c.refresh(t)
	c.waitForToken(t, third)
}

// refreshUnchanged waits until the Secret was refreshed again, and returns it.
// Whoever watches Secrets hears of a version that is not the one before.
func (c *chain) refreshUnchanged(t *testing.T) *corev1.Secret {
	t.Helper()
	secret, before := c.secret(t), c.status(t)
	eventually(t, func() error {
		c.refresh(t)
		// The time has whole seconds: a refresh in the same second does not show.
		if now := c.status(t); !now.RefreshTime.After(before.RefreshTime.Time) || now.ready("True") != "SecretSynced" {
			return fmt.Errorf("no refresh after %s: %+v", before.RefreshTime, now)
		}
		return nil
	})
	c.wantUntouched(t, secret)
	return secret
}

// wantUntouched checks that nothing was written to the Secret.
func (c *chain) wantUntouched(t *testing.T, before *corev1.Secret) {
	t.Helper()
	if now := c.secret(t); now == nil || now.ResourceVersion != before.ResourceVersion || now.UID != before.UID {
		t.Errorf("the Secret was written to, or is gone (%t)", now == nil)
	}
}
