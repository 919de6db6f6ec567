package certificates_test

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/certificates"
)

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// nameOf is the common name of the certificate that a client would send; "" with an error.
func nameOf(t *testing.T, files certificates.Files, log *slog.Logger) (string, error) {
	t.Helper()
	config, err := files.Config("server", log)
	if err != nil {
		return "", err
	}
	sent, err := config.GetClientCertificate(&tls.CertificateRequestInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return sent.Leaf.Subject.CommonName, nil
}

// A renewed certificate is used from the next connection on. One that is half written, gone, or without its key yet
// changes nothing, and the log names it once for many connections.
func TestRenewedFiles(t *testing.T) {
	t.Parallel()
	authority, dir := localtest.NewAuthority(t, "Authority"), t.TempDir()
	files := certificates.Files{Authority: filepath.Join(dir, "ca.pem"), Certificate: filepath.Join(dir, "c.pem"), Key: filepath.Join(dir, "c.key")}
	var logged bytes.Buffer
	log := slog.New(slog.NewTextHandler(&logged, nil))
	first, firstKey := authority.Sign(t, localtest.Certificate{Name: "first"})
	second, secondKey := authority.Sign(t, localtest.Certificate{Name: "second"})
	uses := func(want string) {
		t.Helper()
		if got, err := nameOf(t, files, log); got != want || err != nil {
			t.Errorf("the certificate is %q, %v, want %q", got, err, want)
		}
	}
	if _, err := nameOf(t, files, log); err == nil || !strings.Contains(err.Error(), files.Authority) {
		t.Errorf("without files: %v", err)
	}
	write(t, files.Authority, authority.PEM())
	write(t, files.Certificate, first)
	if _, err := nameOf(t, files, log); err == nil || !strings.Contains(err.Error(), files.Key) {
		t.Errorf("without a key: %v", err)
	}
	write(t, files.Key, firstKey)
	uses("first")
	if logged.Len() > 0 {
		t.Errorf("good files are warned of: %s", &logged)
	}
	for _, broken := range []func(){
		func() { write(t, files.Certificate, second[:len(second)/2]) },
		func() { write(t, files.Certificate, second) }, // whose key is not there yet
		func() { write(t, files.Key, secondKey[:len(secondKey)/2]) },
		func() { _ = os.Remove(files.Key) },
		func() { write(t, files.Authority, nil) },
	} {
		broken()
		uses("first")
	}
	if lines := strings.Count(logged.String(), "\n"); lines != 1 || !strings.Contains(logged.String(), files.Certificate) {
		t.Errorf("%d lines of log, want one with the file's name: %s", lines, &logged)
	}
	if strings.Contains(logged.String(), "PRIVATE KEY") {
		t.Errorf("the log quotes a key: %s", &logged)
	}
	write(t, files.Authority, authority.PEM())
	write(t, files.Key, secondKey)
	uses("second")
}
