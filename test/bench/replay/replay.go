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
)

// A Script is the requests, in their order, and how to connect.
type Script struct {
	// Of the Kubernetes API, in PEM; empty where it is plain http.
	CA, Certificate, Key []byte
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

// Run sends the requests. As the program does, it keeps connections to
// Kubernetes and none to Nautobot.
func (s Script) Run(ctx context.Context) error {
	toNautobot := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	toKubernetes := &http.Client{Transport: &http.Transport{}}
	if s.CA != nil {
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(s.CA) {
			return errors.New("the CA is not a certificate")
		}
		pair, err := tls.X509KeyPair(s.Certificate, s.Key)
		if err != nil {
			return err
		}
		toKubernetes.Transport = &http.Transport{
			ForceAttemptHTTP2: true,
			TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, Certificates: []tls.Certificate{pair}},
		}
	}
	for i, r := range s.Requests {
		client := toNautobot
		if r.ToKubernetes {
			client = toKubernetes
		}
		if err := r.send(ctx, client); err != nil {
			return fmt.Errorf("request %d, %s: %w", i+1, r.Method, err)
		}
	}
	return nil
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
