package kube

import (
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const requestTimeout = 20 * time.Second

// Client talks to one cluster.
type Client struct {
	// Namespace is the one to use where none is given: the kubeconfig
	// context's, or in a Pod the Pod's own.
	Namespace string
	// Log is told of waiting for the API server; nil: nobody is.
	Log *slog.Logger

	rest  rest.Interface
	pause time.Duration // before a read is sent again for the first time
}

// Connect finds the cluster as kubectl does: an explicit kubeconfig, then
// $KUBECONFIG, then ~/.kube/config, then the Pod's service account. It sends
// no request yet.
func Connect(kubeconfig, context, userAgent string) (*Client, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: context}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
	config, err := loader.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, fmt.Errorf("no cluster is configured")
	}
	if err != nil {
		return nil, err
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, err
	}
	config.UserAgent = userAgent
	config.WarningHandler = rest.NoWarnings{}
	config.Timeout = requestTimeout
	client, err := restClient(config)
	if err != nil {
		return nil, err
	}
	return &Client{Namespace: namespace, rest: client, pause: firstPause}, nil
}

// restClient knows the core API group and no other: the full clientset would
// double the binary and the time to start.
func restClient(config *rest.Config) (rest.Interface, error) {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	config.APIPath, config.GroupVersion = "/api", &corev1.SchemeGroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	return rest.RESTClientFor(config)
}
