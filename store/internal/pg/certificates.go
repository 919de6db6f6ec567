package pg

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"

	"github.com/lib/pq"

	"github.com/composerp/composerp/exchange/certificates"
)

// withCertificates has this program read the files that a data source names, and not the driver, which has no use for
// what was read last.
func withCertificates(source string, log *slog.Logger) (string, error) {
	u, err := url.Parse(source)
	if err != nil {
		return source, nil // for the driver to refuse
	}
	q := u.Query()
	files := certificates.Files{Authority: q.Get("sslrootcert"), Certificate: q.Get("sslcert"), Key: q.Get("sslkey")}
	mode := q.Get("sslmode")
	switch {
	case q.Get("sslinline") == "true" || files.Authority == "system" || files.Authority == "" && (files.Certificate == "" || mode != "require"):
		return source, nil
	case mode != "require" && mode != "verify-ca" && mode != "verify-full":
		return source, nil
	}
	if err := keptPrivate(files.Key); err != nil {
		return "", err
	}
	encrypted, err := files.Config("", log)
	if err != nil {
		return "", err
	}
	if mode != "verify-full" {
		encrypted.InsecureSkipVerify = true // the name is not looked at, or nothing is
	}
	if mode == "verify-ca" {
		encrypted.VerifyConnection = verifyAuthority(encrypted.RootCAs)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %s", files, mode))
	key := hex.EncodeToString(sum[:8])
	if err := pq.RegisterTLSConfig(key, encrypted); err != nil {
		return "", err
	}
	for _, parameter := range []string{"sslrootcert", "sslcert", "sslkey"} {
		q.Del(parameter)
	}
	q.Set("sslmode", "pqgo-"+key)
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// keptPrivate refuses a key that other users can read, as PostgreSQL's own clients do.
func keptPrivate(key string) error {
	if info, err := os.Stat(key); err == nil && info.Mode().Perm()&0o037 != 0 {
		return fmt.Errorf("other users may read or change the key %s: chmod 600 %s", key, key)
	}
	return nil
}

// verifyAuthority verifies who signed the server's certificate, and not whose it is.
func verifyAuthority(authorities *x509.CertPool) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		options := x509.VerifyOptions{Roots: authorities, Intermediates: x509.NewCertPool()}
		for _, between := range state.PeerCertificates[1:] {
			options.Intermediates.AddCert(between)
		}
		_, err := state.PeerCertificates[0].Verify(options)
		if err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
		}
		return nil
	}
}

// connectFault is why a connection could not be made that is no answer of the server: a certificate, a file, the URL.
// It is ErrConfiguration for the one who sets up a system; and no statement is at fault, so it is ErrUnavailable too.
type connectFault struct{ error }

func (f connectFault) Unwrap() error { return f.error }

func (f connectFault) Error() string {
	if advice := certificates.Advice(f.error, "sslrootcert"); advice != "" {
		return fmt.Sprintf("%s (%v)", advice, f.error)
	}
	return f.error.Error()
}

// Is makes errors.Is find both kinds.
func (connectFault) Is(kind error) bool { return kind == ErrConfiguration || kind == ErrUnavailable }

// faultOf is a connection's error as what it is.
func faultOf(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if kind := kindOf(err); kind == nil && !errors.As(err, new(*pq.Error)) || errors.Is(kind, ErrConfiguration) || certificates.Advice(err, "") != "" {
		return connectFault{err}
	}
	return err
}
