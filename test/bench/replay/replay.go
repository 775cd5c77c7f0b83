// Package replay sends a list of HTTP requests and nothing more: the floor
// beside which a program that needs the same requests is measured.
package replay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// A Script is the requests, in their order, and how to connect.
type Script struct {
	// Of the Kubernetes API, in PEM. Without a certificate, the requests have a
	// token.
	CA, Certificate, Key []byte
	Parallel             int // requests at a time; 0: one
	Requests             []Request
}

// A Request is one request and the status it has to get.
type Request struct {
	ToKubernetes bool
	Method, URL  string
	Header       http.Header
	Body         string
	Status       int
}

// TLS is how to connect to Kubernetes.
func (s Script) TLS() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	if !config.RootCAs.AppendCertsFromPEM(s.CA) {
		return nil, errors.New("the CA is not a certificate")
	}
	if len(s.Certificate) > 0 {
		pair, err := tls.X509KeyPair(s.Certificate, s.Key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// Run sends the requests. As the program does, it keeps its connections except
// those for writes to Nautobot.
func (s Script) Run(ctx context.Context) error {
	config, err := s.TLS()
	if err != nil {
		return err
	}
	toKubernetes := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: config}}
	parallel := max(s.Parallel, 1)
	reads := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: parallel}}
	writes := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	work := make(chan Request)
	var workers sync.WaitGroup
	for range parallel {
		workers.Go(func() {
			for r := range work {
				client := writes
				switch {
				case r.ToKubernetes:
					client = toKubernetes
				case r.Method == http.MethodGet:
					client = reads
				}
				if err := r.send(ctx, client); err != nil {
					stop(fmt.Errorf("%s: %w", r.Method, err))
				}
			}
		})
	}
	for _, r := range s.Requests {
		work <- r
	}
	close(work)
	workers.Wait()
	return context.Cause(ctx)
}

func (r Request) send(ctx context.Context, client *http.Client) error {
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, strings.NewReader(r.Body))
	if err != nil {
		return err
	}
	req.Header = r.Header
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != r.Status {
		return fmt.Errorf("status %d, want %d", resp.StatusCode, r.Status)
	}
	return nil
}
