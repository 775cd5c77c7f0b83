package servers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// keyPair is a certificate and its private key.
type keyPair struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// newAuthority makes a certificate authority.
func newAuthority() (*keyPair, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "test-ca"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	return newKeyPair(template, nil)
}

// server makes a certificate for a server at a loopback address, and at other
// addresses and host names.
func (authority *keyPair) server(others ...string) (*keyPair, error) {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "test-server"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
	}
	for _, other := range append(others, "127.0.0.1") {
		if address := net.ParseIP(other); address != nil {
			template.IPAddresses = append(template.IPAddresses, address)
		} else {
			template.DNSNames = append(template.DNSNames, other)
		}
	}
	return newKeyPair(template, authority)
}

// client makes a certificate that Kubernetes takes for a user in some groups.
func (authority *keyPair) client(user string, groups ...string) (*keyPair, error) {
	return newKeyPair(&x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, authority)
}

// newKeyPair makes a key and a certificate for it, which authority signs, or
// the key itself if there is none.
func newKeyPair(template *x509.Certificate, authority *keyPair) (*keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, err
	}
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().AddDate(1, 0, 0)
	issuer, signer := template, key
	if authority != nil {
		issuer, signer = authority.certificate, authority.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, signer)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &keyPair{certificate, key}, err
}

// certificatePEM is the certificate as it is written to files.
func (pair *keyPair) certificatePEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.certificate.Raw})
}

// keyPEM is the private key as it is written to files.
func (pair *keyPair) keyPEM() []byte {
	der, err := x509.MarshalECPrivateKey(pair.key)
	if err != nil {
		panic(err) // only for curves that are not used here
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

// kubeconfigUser is the user of a kubeconfig who has this certificate.
func (pair *keyPair) kubeconfigUser() map[string]any {
	return map[string]any{"client-certificate-data": pair.certificatePEM(), "client-key-data": pair.keyPEM()}
}

// serverTLS is how a server with this certificate answers.
func (pair *keyPair) serverTLS() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{pair.certificate.Raw}, PrivateKey: pair.key}}}
}

// clientTLS is how a client with this certificate talks to the servers of the
// authority.
func (pair *keyPair) clientTLS(authority *keyPair) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(authority.certificate)
	return &tls.Config{
		RootCAs: roots,
		Certificates: []tls.Certificate{{
			Certificate: [][]byte{pair.certificate.Raw},
			PrivateKey:  pair.key,
		}},
	}
}
