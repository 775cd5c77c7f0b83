//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/rackerlabs/understack/go/nautobot-token/test/servers"
)

// An identity says whose token the program uses in Nautobot.
type identity string

const (
	superuser   identity = "superuser"
	provisioner identity = "provisioner" // made by the setup command
)

// A server is a Nautobot with a provisioner.
type server struct {
	*servers.Nautobot
	provisionerFile  string // the manifest that setup wrote
	provisionerToken string
}

// A target is a Nautobot, and who the program is there.
type target struct {
	*server
	identity  identity
	workToken string // that the program is given as the superuser token
}

func (s *server) as(who identity) target {
	if who == provisioner {
		return target{s, who, s.provisionerToken}
	}
	return target{s, who, s.Token}
}

// startServer starts a Nautobot, and makes its provisioner.
func startServer(ctx context.Context, version string, settings ...string) (*server, error) {
	nautobot, err := servers.StartNautobot(ctx, version, append(settings, servers.CheapPasswords)...)
	if err != nil {
		return nil, err
	}
	s := &server{Nautobot: nautobot}
	if err := s.makeProvisioner(ctx); err != nil {
		nautobot.Stop()
		return nil, fmt.Errorf("make a provisioner: %w", err)
	}
	return s, nil
}

func (s *server) makeProvisioner(ctx context.Context) error {
	s.provisionerFile = filepath.Join(filepath.Dir(binary), "provisioner-"+s.Version+".yaml")
	if err := s.setUp(ctx); err != nil {
		return err
	}
	var err error
	s.provisionerToken, err = tokenInManifest(s.provisionerFile)
	return err
}

// setUp runs the setup command as an operator would, for the provisioner that
// all tests share.
func (s *server) setUp(ctx context.Context) error {
	command := exec.CommandContext(ctx, binary, "setup", "-f", s.provisionerFile)
	command.Env = []string{"NAUTOBOT_URL=" + s.URL, "NAUTOBOT_TOKEN=" + s.Token}
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("setup: %w\n%s", err, out)
	}
	return nil
}

// tokenInManifest reads the token that setup wrote.
func tokenInManifest(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	var secret corev1.Secret
	if err := yaml.UnmarshalStrict(text, &secret); err != nil {
		return "", err
	}
	token := secret.StringData["apitoken"]
	if !regexp.MustCompile(`^[0-9a-f]{40}$`).MatchString(token) {
		return "", errors.New("the manifest holds no token")
	}
	return token, nil
}

// onEach runs a test on each version of Nautobot, as a superuser and as a
// provisioner. No two tests use one Nautobot at a time, unless a test says so
// itself.
func onEach(t *testing.T, test func(t *testing.T, nautobot target)) {
	onEachAs(t, test, superuser, provisioner)
}

// asProvisioner is for tests in which it does not matter who the program is.
func asProvisioner(t *testing.T, test func(t *testing.T, nautobot target)) {
	onEachAs(t, test, provisioner)
}

// asSuperuser is for what a provisioner may not do.
func asSuperuser(t *testing.T, test func(t *testing.T, nautobot target)) {
	onEachAs(t, test, superuser)
}

func onEachAs(t *testing.T, test func(t *testing.T, nautobot target), identities ...identity) {
	for _, nautobot := range nautobots {
		t.Run(nautobot.Version, func(t *testing.T) {
			t.Parallel()
			for _, who := range identities {
				t.Run(string(who), func(t *testing.T) { test(t, nautobot.as(who)) })
			}
		})
	}
}
