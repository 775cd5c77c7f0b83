package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"strings"
	"time"

	"github.com/rackerlabs/understack/go/nautobot-token/cmd/check"
	"github.com/rackerlabs/understack/go/nautobot-token/kube"
	"github.com/rackerlabs/understack/go/nautobot-token/nautobot"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// serverCheck looks at what is in the Secrets, and at Nautobot.
type serverCheck struct {
	*checker
	chain  *check.Chain
	secret func(context.Context) (provision.Secret, error) // that was named
	token  func(context.Context) (provision.Sensitive, error)
	enters func(context.Context) error // nil: Nautobot accepts the superuser token
}

func newServerCheck(c *checker, chain *check.Chain) *serverCheck {
	s := &serverCheck{checker: c, chain: chain}
	s.secret = check.Once(func(ctx context.Context) (provision.Secret, error) { return c.cluster.Secret(ctx, c.namespace, c.name) })
	s.token = check.Once(func(ctx context.Context) (provision.Sensitive, error) { return c.superuserToken(ctx, c.cluster) })
	s.enters = func() func(context.Context) error {
		ask := check.Once(func(ctx context.Context) (struct{}, error) { return struct{}{}, s.enter(ctx) })
		return func(ctx context.Context) error { _, err := ask(ctx); return err }
	}()
	return s
}

// keys looks at the data of the Secret, the way provision does.
func (s *serverCheck) keys(ctx context.Context) []check.Finding {
	r := check.Report{Object: "keys/" + s.namespace + "/" + s.name}
	account, err := s.parsed(ctx)
	mend := []string{fmt.Sprintf("kubectl -n %s describe secret %s", s.namespace, s.name)}
	refusal, refused := errors.AsType[*provision.Refusal](err)
	switch {
	case errors.Is(err, provision.ErrNoSecret):
		r.Warn(nil, "not known: %v", err)
	case kube.IsForbidden(err):
		r.Warn([]string{"kubectl auth can-i get secrets -n " + s.namespace}, "not known: may not get the Secret")
	case refused:
		for _, problem := range refusal.Problems {
			r.Fail(mend, "%s", problem)
		}
	case err != nil:
		r.Fail(nil, "not known: %v", err)
	default:
		for _, warning := range account.Warnings {
			r.Warn(mend, "%s", warning)
		}
		r.OK("username %q, %s", account.Username, map[bool]string{true: "a token, and no password: nobody can log in", false: "a token and a password"}[account.Password.Empty()])
	}
	return r.Findings
}

// parsed is what the Secret asks for. Without a URL its hostname is not compared.
func (s *serverCheck) parsed(ctx context.Context) (provision.Account, error) {
	secret, err := s.secret(ctx)
	if err != nil {
		return provision.Account{}, err
	}
	if s.nautobotURL == nil {
		secret.Data = maps.Clone(secret.Data)
		delete(secret.Data, "hostname")
		delete(secret.Data, "url")
	}
	return provision.ParseAccount(secret, s.hosts)
}

// rule looks for the rule of the policy.
func (s *serverCheck) rule(ctx context.Context) []check.Finding {
	r := check.Report{Object: "rule/" + s.namespace + "/" + s.name}
	if s.policyProblem != nil {
		r.Fail(nil, "the release's policy: %v", s.policyProblem)
		return r.Findings
	}
	if s.rules.File == "" {
		r.Warn(nil, "not known: the rules are in the chart, which was not found, and --policy is not given")
		return r.Findings
	}
	username, known := "", false
	if secret, err := s.secret(ctx); err == nil {
		username = strings.TrimSuffix(secret.Data["username"].Reveal(), "\n")
		known = provision.ValidUsername(username)
	}
	if !known {
		username = "?" // which only a rule for all usernames matches
	}
	_, err := s.rules.Allow(provision.Secret{Namespace: s.namespace, Name: s.name}, username)
	var mend []string
	if s.release != nil {
		mend = s.chain.EditValues()
	}
	switch {
	case err == nil:
		r.OK("a rule of the policy allows it")
	case !known && s.rules.Covers(s.namespace, s.name):
		r.Warn(nil, "there is a rule; whether it allows the username is not known")
	case !known:
		r.Fail(mend, "no rule of the policy is for this Secret")
	default:
		r.Fail(mend, "%v", err)
	}
	return r.Findings
}

// superuser looks for the superuser token.
func (s *serverCheck) superuser(ctx context.Context) []check.Finding {
	r := check.Report{Object: "secret/" + s.superuserSecret}
	create := s.createSuperuser()
	describe := fmt.Sprintf("kubectl -n %s describe secret %s", check.Quote(s.superuserNamespace()), check.Quote(s.superuserName()))
	if !s.settings.token.Empty() {
		r.OK("not needed: the superuser token is in the environment")
		return r.Findings
	}
	secret, err := s.cluster.Secret(ctx, s.superuserNamespace(), s.superuserName())
	switch {
	case errors.Is(err, provision.ErrNoSecret):
		r.Fail([]string{create}, "it is missing: it should hold the superuser token")
		return r.Findings
	case kube.IsForbidden(err):
		r.Warn([]string{"kubectl auth can-i get secrets -n " + s.superuserNamespace()}, "not known: may not get the Secret with the superuser token. Give the token as NAUTOBOT_TOKEN_FILE")
		return r.Findings
	case err != nil:
		r.Fail(nil, "not known: %v", err)
		return r.Findings
	}
	if _, err := s.tokenOf(secret); err != nil {
		r.Fail([]string{describe, create + " --dry-run=client -o yaml | kubectl apply -f -"}, "%v", err)
	}
	if _, labelled := secret.Labels["token/type"]; labelled {
		r.Warn([]string{fmt.Sprintf("kubectl -n %s label secret %s token/type-", s.superuserNamespace(), s.superuserName())},
			"it has the label token/type, but it holds the superuser token, and is not one to provision")
	}
	if len(r.Findings) == 0 {
		r.OK("holds the superuser token")
	}
	return r.Findings
}

// createSuperuser is the command that creates the Secret with the superuser token.
func (s *serverCheck) createSuperuser() string {
	return fmt.Sprintf("kubectl -n %s create secret generic %s --from-file=%s=FILE",
		check.Quote(s.superuserNamespace()), check.Quote(s.superuserName()), check.Quote(s.tokenKeys()[0]))
}

// A check does not wait for a Nautobot that is down, but gives a slow one time.
const (
	checkTimeout = 8 * time.Second
	checkPause   = time.Hour // longer than any run: no request is sent again
)

func (s *serverCheck) client(token provision.Sensitive) *nautobot.Client {
	return nautobot.New(nautobot.Config{
		URL: s.nautobotURL, Roots: s.roots, Token: token, UserAgent: userAgent(), Log: s.log,
		Timeout: checkTimeout, Pause: checkPause,
	})
}

var (
	errUntrusted = errors.New("not asked: only the installed chart names it, which was found by its labels. If the chart is yours, say so with --release-namespace, or give --nautobot-url")
	errNoURL     = errors.New("not asked: its URL is not known: give --nautobot-url")
	errNoToken   = errors.New("it answers; whether it accepts the superuser token is not known, because that is missing")
)

// enter asks Nautobot with the superuser token. Without one, an invalid token is
// enough to see that it is there.
func (s *serverCheck) enter(ctx context.Context) error {
	switch {
	case s.nautobotURL == nil && s.untrusted:
		return errUntrusted
	case s.nautobotURL == nil:
		return errNoURL
	}
	token, missing := s.token(ctx)
	if missing != nil {
		token = provision.Hide(strings.Repeat("x", 40))
	}
	err := s.client(token).Authenticate(ctx, provision.Login{Token: token})
	if missing != nil && errors.Is(err, provision.ErrInvalidToken) {
		return errNoToken
	}
	if failed, ok := errors.AsType[*nautobot.Error](err); ok {
		return failed // without the words about waiting
	}
	return err
}

// nautobot asks whether it is there, and what the superuser token may do.
func (s *serverCheck) nautobot(ctx context.Context) []check.Finding {
	r := check.Report{Object: "nautobot"}
	if s.nautobotURL != nil {
		r.Object += "/" + s.nautobotURL.Host
	}
	err := s.enters(ctx)
	switch {
	case errors.Is(err, errUntrusted):
		r.Warn([]string{"nautobot-token check --release-namespace " + s.release.Namespace}, "%v", err)
	case errors.Is(err, errNoURL), errors.Is(err, errNoToken):
		r.Warn(nil, "%v", err)
	case errors.Is(err, provision.ErrInvalidToken), errors.Is(err, provision.ErrTokenExpired), errors.Is(err, provision.ErrUserInactive):
		r.Fail([]string{s.createSuperuser() + " --dry-run=client -o yaml | kubectl apply -f -"},
			"the superuser token is not accepted (%v): create one in Nautobot, and put it into its Secret", err)
	case err != nil && s.onlyInside(err):
		r.Warn(s.insteadFromInside(), "not known: %s is a name inside the cluster, and cannot be reached from here", s.nautobotURL.Hostname())
	case err != nil:
		r.Fail([]string{"curl -v " + check.Quote(s.nautobotURL.String()+"/api/")}, "%v", err)
	default:
		s.rights(ctx, &r)
	}
	if s.nautobotURL != nil && s.jobsHost != "" && s.jobsHost != s.nautobotURL.Host {
		r.Warn([]string{s.helmTest()}, "the Jobs call Nautobot %q; whether that works cannot be seen from here", s.jobsHost)
	}
	return r.Findings
}

// helmTest is the command that asks Nautobot as a Job does.
func (s *serverCheck) helmTest() string {
	return fmt.Sprintf("helm -n %s test %s --logs", s.release.Namespace, s.release.Name)
}

// onlyInside reports whether the host is a name inside the cluster that cannot be
// reached from here.
func (s *serverCheck) onlyInside(err error) bool {
	dial, ok := errors.AsType[*net.OpError](err)
	host := s.nautobotURL.Hostname()
	inside := strings.HasSuffix(host, ".svc") || strings.Contains(host, ".svc.") || !strings.Contains(host, ".")
	return ok && dial.Op == "dial" && inside && !loopback(host) && os.Getenv("KUBERNETES_SERVICE_HOST") == ""
}

// insteadFromInside are ways to look from inside the cluster.
func (s *serverCheck) insteadFromInside() (commands []string) {
	if s.release != nil {
		commands = append(commands, s.helmTest())
	}
	which := ""
	if s.name != "" {
		which = " " + s.name + " -n " + s.namespace
	}
	service, rest, _ := strings.Cut(s.nautobotURL.Hostname(), ".")
	namespace, _, _ := strings.Cut(rest, ".")
	if s.nautobotURL.Scheme == "http" && namespace != "" {
		commands = append(commands, fmt.Sprintf("kubectl -n %s port-forward %s 8080:80", check.Quote(namespace), check.Quote("service/"+service)),
			"nautobot-token check"+which+" --nautobot-url http://localhost:8080")
	}
	return commands
}

// rights asks only what it takes to tell whether the token's account may do its
// work.
func (s *serverCheck) rights(ctx context.Context, r *check.Report) {
	token, err := s.token(ctx)
	if err != nil {
		return
	}
	client := s.client(token)
	own, err := client.Tokens(ctx, provision.Login{Token: token})
	var user *provision.User
	if err == nil && len(own) > 0 {
		user, _, err = client.FindUser(ctx, own[0].Username)
	} else if errors.Is(err, provision.ErrDenied) { // that right is not needed
		_, _, err = client.FindUser(ctx, "nautobot-token")
	}
	switch {
	case errors.Is(err, provision.ErrDenied):
		r.Fail([]string{"nautobot-token setup --help"}, "the account of the superuser token lacks a right: %v", err)
	case err != nil:
		r.Fail(nil, "%v", err)
	case user != nil && user.Superuser:
		r.OK("answers, and accepts the superuser token, which is a superuser's")
	case s.grantsSuperuser():
		r.Fail([]string{"nautobot-token setup --help"}, "a rule grants superuser: true, which needs the token of a superuser; this one is not a superuser's")
	default:
		r.OK("answers, and accepts the superuser token, whose account is not a superuser")
	}
}

func (s *serverCheck) grantsSuperuser() bool {
	for _, rule := range s.rules.Rules {
		if rule.Superuser {
			return true
		}
	}
	return false
}

// account does a dry run for the Secret.
func (s *serverCheck) account(ctx context.Context) []check.Finding {
	r := check.Report{Object: "account/" + s.namespace + "/" + s.name}
	if err := s.enters(ctx); err != nil {
		r.Warn(nil, "not asked for: see the line about Nautobot")
		return r.Findings
	}
	asked := false
	provisioner := provision.Provisioner{
		Connect: func(ctx context.Context) (provision.Nautobot, provision.Sensitive, error) {
			asked = true
			token, err := s.token(ctx)
			return s.client(token), token, err
		},
		Hosts: s.hosts, Policy: s.rules, Cluster: s.settings.cluster, Grace: s.grace,
		DryRun: true, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}
	result, err := provisioner.Provision(ctx, s.cluster.Source(s.namespace, s.name))
	refusal, refused := errors.AsType[*provision.Refusal](err)
	switch {
	case !asked || s.policyProblem != nil:
		r.Warn(nil, "not asked for: see the lines about the Secret, its keys and its rule")
		return r.Findings
	case refused:
		for _, problem := range refusal.Problems {
			r.Fail(nil, "refused: %s", problem)
		}
		if refusal.Owner != "" { // not for the tenant's eyes
			s.log.Error("refused", "secret", s.namespace+"/"+s.name, "owner", refusal.Owner)
		}
	case err != nil:
		r.Fail(nil, "%v", err)
	}
	findings := r.Findings
	for _, change := range result.Report.Changes {
		findings = append(findings, s.change(ctx, change)...)
	}
	return findings
}

// change says what a dry run found out about an object.
func (s *serverCheck) change(ctx context.Context, change provision.Change) []check.Finding {
	r := check.Report{Object: change.Object}
	notes := strings.Join(append(change.Fields, change.Notes...), "; ")
	if notes != "" {
		notes = ": " + notes
	}
	mend, pending := s.chain.Touch(ctx), r.Fail
	if s.chain.AtWork(ctx) {
		mend, pending = nil, r.Warn
	}
	switch change.Action {
	case provision.Unchanged:
		r.OK("as the Secret says%s", notes)
	case provision.Created:
		pending(mend, "not in Nautobot yet%s", notes)
	default:
		pending(mend, "not as the Secret says, and would be %s%s", change.Action, notes)
	}
	return r.Findings
}
