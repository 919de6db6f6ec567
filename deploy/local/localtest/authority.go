package localtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local"
)

// Authority is a throw-away certificate authority.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// Certificate is what an authority is asked to sign.
type Certificate struct {
	Name    string // the common name: a user's
	Address string // of a server; "": of 127.0.0.1
	Ended   bool   // its time is over
}

// NewAuthority makes an authority of that name.
func NewAuthority(t testing.TB, name string) *Authority {
	t.Helper()
	template := x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a := &Authority{}
	a.certificate, a.key = sign(t, template, nil, nil)
	return a
}

// PEM is the authority's certificate.
func (a *Authority) PEM() []byte { return encoded("CERTIFICATE", a.certificate.Raw) }

// Sign makes a certificate for clients and servers, and its key, in PEM.
func (a *Authority) Sign(t testing.TB, asked Certificate) (certificate, key []byte) {
	t.Helper()
	address := asked.Address
	if address == "" {
		address = "127.0.0.1"
	}
	template := x509.Certificate{
		Subject: pkix.Name{CommonName: asked.Name}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(address); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{address}
	}
	if asked.Ended {
		template.NotAfter = time.Now().Add(-time.Hour)
	}
	signed, private := sign(t, template, a.certificate, a.key)
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return encoded("CERTIFICATE", signed.Raw), encoded("PRIVATE KEY", raw)
}

// Files signs a certificate into files NAME.pem and NAME.key of a directory.
func (a *Authority) Files(t testing.TB, dir string, asked Certificate) (certificate, key string) {
	t.Helper()
	certificate, key = filepath.Join(dir, asked.Name+".pem"), filepath.Join(dir, asked.Name+".key")
	signed, private := a.Sign(t, asked)
	for path, content := range map[string][]byte{certificate: signed, key: private} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key
}

// Servers is for local.Config: servers whose certificate is the one asked for.
func (a *Authority) Servers(t testing.TB, asked Certificate) *local.TLS {
	t.Helper()
	certificate, key := a.Sign(t, asked)
	return &local.TLS{Authority: a.PEM(), Certificate: certificate, Key: key}
}

// sign makes a key and a certificate for it, signed by an authority; nil: by itself.
func sign(t testing.TB, template x509.Certificate, by *x509.Certificate, with *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if by == nil {
		by, with = &template, key
	}
	template.NotBefore = time.Now().Add(-24 * time.Hour)
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(24 * time.Hour)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		t.Fatal(err)
	}
	raw, err := x509.CreateCertificate(rand.Reader, &template, by, key.Public(), with)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return made, key
}

func encoded(kind string, raw []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw})
}
