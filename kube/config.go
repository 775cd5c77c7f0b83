package kube

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/klog/v2"
)

const requestTimeout = 20 * time.Second

// quieten silences client-go's own log, which goes to standard error in a form of
// its own.
var quieten = sync.OnceFunc(func() { klog.SetSlogLogger(slog.New(slog.DiscardHandler)) })

// Client talks to one cluster.
type Client struct {
	// Namespace is the one to use if none is given: the kubeconfig
	// context's, or in a Pod the Pod's own.
	Namespace string
	// Log gets a line about each wait for the API server; nil: nothing is logged.
	Log *slog.Logger
	// Patience is how long one read is repeated; 0: until its context ends.
	Patience time.Duration

	rest  rest.Interface
	pause time.Duration // before a read is sent again for the first time
}

// Connect finds the cluster as kubectl does: an explicit kubeconfig, then
// $KUBECONFIG, then ~/.kube/config, then the Pod's service account. It sends
// no request yet.
func Connect(kubeconfig, context, userAgent string) (*Client, error) {
	quieten()
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	if err := checkFiles(rules); err != nil {
		return nil, err
	}
	overrides := &clientcmd.ConfigOverrides{CurrentContext: context}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
	raw, err := loader.RawConfig()
	if err == nil && context != "" && raw.Contexts[context] == nil {
		return nil, errors.New("there is no context with that name")
	}
	config, err := loader.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, errors.New("no cluster is configured")
	}
	if err != nil {
		return nil, discreet(raw, err)
	}
	if err := checkPlugins(config); err != nil {
		return nil, err
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, err
	}
	if validation.IsDNS1123Label(namespace) != nil { // asked for anything in it, an API server says that there is none
		return nil, errors.New("the namespace of the context is not a valid name: want lower-case letters, digits and -")
	}
	config.UserAgent = userAgent
	config.WarningHandler = rest.NoWarnings{}
	config.Timeout = requestTimeout
	config.QPS = -1 // no limit of our own: the API server has one
	client, err := restClient(config)
	if err != nil {
		return nil, discreet(raw, err)
	}
	return &Client{Namespace: namespace, rest: client, pause: firstPause}, nil
}

// checkFiles finds files that cannot be opened, and does not show their names: a
// name may be a secret that was put into the wrong place, or the text of a
// kubeconfig.
func checkFiles(rules *clientcmd.ClientConfigLoadingRules) error {
	if rules.ExplicitPath != "" {
		_, err := os.Stat(rules.ExplicitPath)
		return withoutPath(err)
	}
	for _, file := range rules.Precedence {
		if _, err := os.Stat(file); err != nil && !errors.Is(err, fs.ErrNotExist) { // kubectl ignores missing ones
			return withoutPath(err)
		}
	}
	return nil
}

func withoutPath(err error) error {
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return failed.Err
	}
	return err
}

// discreet is what client-go says about a kubeconfig, unless that quotes a value:
// a URL may hold a password, and a key may be where its file name should be.
func discreet(raw clientcmdapi.Config, err error) error {
	text := err.Error()
	quotes := func(value string) bool {
		quoted := strconv.Quote(value)
		return value != "" && (strings.Contains(text, value) || strings.Contains(text, quoted[1:len(quoted)-1]))
	}
	for _, cluster := range raw.Clusters {
		switch {
		case quotes(cluster.Server):
			return errors.New("the server of a cluster in the kubeconfig is not a URL")
		case quotes(cluster.ProxyURL):
			return errors.New("the proxy-url of a cluster in the kubeconfig is not a URL that begins with http, https or socks5")
		case quotes(cluster.CertificateAuthority):
			return unusable("certificate-authority", cluster.CertificateAuthority)
		}
	}
	for _, user := range raw.AuthInfos {
		switch {
		case quotes(user.ClientCertificate):
			return unusable("client-certificate", user.ClientCertificate)
		case quotes(user.ClientKey):
			return unusable("client-key", user.ClientKey)
		}
	}
	if strings.Contains(text, "unknown anchor") || strings.Contains(text, "invalid map key") {
		return errors.New("the kubeconfig is not YAML: a text that begins with *, { or [ needs quotes")
	}
	return err
}

// unusable is for a file that a kubeconfig names.
func unusable(field, file string) error {
	_, err := os.Stat(file)
	if err == nil {
		err = errors.New("it cannot be read")
	}
	return fmt.Errorf("the %s in the kubeconfig: %w", field, withoutPath(err))
}

// checkPlugins finds problems that client-go reports only with the first request,
// and in several lines.
func checkPlugins(config *rest.Config) error {
	if config.AuthProvider != nil {
		return errors.New("the kubeconfig's user has an auth-provider, which is not supported: use an exec plugin")
	}
	if plugin := config.ExecProvider; plugin != nil {
		if _, err := exec.LookPath(plugin.Command); err != nil {
			return fmt.Errorf("the kubeconfig's exec plugin %q is not installed", plugin.Command)
		}
	}
	return nil
}

// restClient knows only a few types of the core API group: the full clientset
// would double the size of the binary and the time it takes to start.
func restClient(config *rest.Config) (rest.Interface, error) {
	config = rest.CopyConfig(config)
	config.APIPath, config.GroupVersion = "/api", &coreGroup
	config.NegotiatedSerializer = serializer.NewCodecFactory(newScheme()).WithoutConversion()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	client.Transport = prompt{client.Transport}
	// client-go would send the cluster's token wherever a redirect points.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return rest.RESTClientForConfigAndClient(config, client)
}

// prompt ends a request with its context, even while an exec plugin is asked for
// credentials, for which client-go would wait forever. It also cuts off endless
// errors, which client-go would read to the end.
type prompt struct{ next http.RoundTripper }

func (p prompt) RoundTrip(req *http.Request) (*http.Response, error) {
	type answer struct {
		resp *http.Response
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		// A plugin's credentials are put into the headers of the copy.
		resp, err := p.next.RoundTrip(req.Clone(req.Context())) //nolint:bodyclose // whoever gets the answer closes it
		if err == nil && resp.StatusCode >= http.StatusMultipleChoices {
			if resp.Body, err = beginning(resp.Body); err != nil {
				resp = nil // net/http would log that there are both
			}
		}
		answered <- answer{resp, err}
	}()
	select {
	case a := <-answered:
		return a.resp, a.err
	case <-req.Context().Done():
		go func() {
			if a := <-answered; a.err == nil {
				_ = a.resp.Body.Close()
			}
		}()
		return nil, req.Context().Err()
	}
}

const largestError = 1 << 20 // bytes

// beginning reads as much of an error as counts.
func beginning(body io.ReadCloser) (io.ReadCloser, error) {
	text, err := io.ReadAll(io.LimitReader(body, largestError))
	_ = body.Close()
	return io.NopCloser(bytes.NewReader(text)), err
}
