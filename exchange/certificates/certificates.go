// Package certificates reads the files by which a connection is encrypted: authorities, a certificate and its key.
//
// They are read for each new connection, so that renewed ones are used from the next on. What holds:
//   - A connection gets an authority, a certificate and a key that fit each other. What cannot be read, is cut or does
//     not fit, as between the writing of a certificate and that of its key, is not used: the connection gets what was
//     read last, and the log says so now and then. The first one gets an error.
//   - A certificate's end is no fault here: the server judges it, and its word says more.
//   - A crash leaves nothing: what was read last is in memory alone, by the files' names.
package certificates

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"

	"github.com/composerp/composerp/exchange/clock"
)

// Files are paths of PEM files. Without Authority those of the system hold; Certificate and Key go together.
type Files struct{ Authority, Certificate, Key string }

// lastRead is what was read of some files last.
type lastRead struct {
	mu     sync.Mutex
	config *tls.Config // nil: they were never good
	warned clock.Seldom
}

var lastReads sync.Map // of *lastRead, by Files

// Config is for a connection with a server, by its name in the server's certificate. Its errors name the file.
func (f Files) Config(server string, log *slog.Logger) (*tls.Config, error) {
	found, _ := lastReads.LoadOrStore(f, &lastRead{})
	last := found.(*lastRead)
	last.mu.Lock()
	defer last.mu.Unlock()
	config, err := f.read()
	switch {
	case err == nil:
		last.config, last.warned = config, clock.Seldom{}
	case last.config == nil:
		return nil, err
	case last.warned.Due():
		log.Warn("certificate files are not usable; the connection has what was read of them last", "error", err)
	}
	config = last.config.Clone()
	config.ServerName = server
	return config, nil
}

func (f Files) read() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.Authority != "" {
		authorities, err := os.ReadFile(f.Authority)
		if err != nil {
			return nil, fmt.Errorf("reading the authority's certificate: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(authorities) {
			return nil, fmt.Errorf("reading the authority's certificate: %s has none in PEM", f.Authority)
		}
	}
	if (f.Certificate == "") != (f.Key == "") {
		return nil, errors.New("a certificate and its key go together: name the files of both")
	}
	if f.Certificate == "" {
		return config, nil
	}
	certificate, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate %s and its key %s: %w", f.Certificate, f.Key, err)
	}
	// A function, as a list leaves out what no authority in the server's request has signed, and sends nothing.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil }
	return config, nil
}

// Advice says what to do about an error of an encrypted connection, by the certificate that was refused; "" when that
// is not why it failed. parameter is that of the URL which names the authority's file.
func Advice(err error, parameter string) string {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var alert tls.AlertError
	switch {
	case err == nil:
	case errors.As(err, &host):
		return "the server's certificate is for another name: correct the host of the URL, or give the server a certificate for it"
	case errors.As(err, &authority):
		return "the server's certificate is of an unknown authority: name that authority's file by " + parameter + " in the URL"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the server's certificate has ended, or does not hold yet: renew it, or correct the clock of this machine"
	case errors.As(err, &invalid):
		return "the server's certificate is not valid: give the server another"
	case errors.As(err, &alert), strings.Contains(err.Error(), "remote error: tls:"):
		return "the server refuses this client's certificate: renew it, or name one of an authority that the server knows"
	}
	return ""
}
