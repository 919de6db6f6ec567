// Package webcall posts JSON to a server outside, for the workers that do, and
// turns the answer into a worker's outcome.
//
// # Outcomes
//
//	2xx, 409            done: an Answer. 409 means that the key is known from an
//	                    earlier call, as it should be
//	301, 308            worker.Reject: a person must correct the address
//	429, 502, 503, 504, worker.Unavailable: the server is away or busy, for the
//	any 5xx with a      time in its Retry-After
//	Retry-After
//	no server, no       worker.Unavailable: no connection, no name, no valid
//	answer in time      certificate
//	408, 425, other 5xx an error: try again; by worker.RetryAfter when the answer
//	other 3xx           has a Retry-After
//	hung up on, half    worker.InDoubt: try again. The call itself may be what the
//	an answer           other side died of
//	other 4xx           worker.Reject, with the other side's own words
//	no URL              worker.Reject
//
// The dependency is the endpoint's scheme, host and port: while it is away the
// circuit breakers of package worker let no call to it through.
//
// # Invariants
//
//   - Every call carries an Idempotency-Key; the same key is the same call. A call
//     whose answer was lost is made again: whether the other side has acted on the
//     first is for it to know, by the key. (net/http itself repeats a call with
//     such a header when an idle connection turns out to be closed.)
//   - A redirect is never followed: it would carry an order, and perhaps a secret in
//     its address, to a server that no setting names.
//   - A call ends after Timeout, with its answer's body. No more of a body than
//     the limit is read, whatever its Content-Length is.
//   - Errors name the host and nothing else of an address: the path or the query
//     of a webhook is often its password.
//
// Proxies are those of the environment (HTTPS_PROXY and NO_PROXY, as every
// program of net/http has them).
package webcall

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/composerp/composerp/workers/worker"
)

// Limits of a call: how long connecting may take and the whole of it, and how
// much of an answer is read.
const (
	connectTime = 5 * time.Second
	callTime    = 10 * time.Second
	maxAnswer   = 64 << 10
	maxHeader   = 64 << 10
)

// Caller makes calls. The zero value works.
type Caller struct {
	// Timeout bounds a call, from connecting to the end of the answer; 0 means 10 seconds.
	Timeout time.Duration
	// Breakers let no call through to a server that is away; nil: every call is made.
	Breakers *worker.Breakers
}

// Answer is the answer of a server that has accepted the body.
type Answer struct {
	Status int
	// Body is empty when it was larger than 64 KiB: then TooLarge is set.
	Body     []byte
	TooLarge bool
}

// client is shared: it keeps connections open from one call to the next.
var client = &http.Client{
	Transport: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: connectTime}).DialContext,
		TLSHandshakeTimeout:    connectTime,
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        time.Minute,
		ForceAttemptHTTP2:      true,
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Post posts a JSON body with an Idempotency-Key. The error is the outcome.
func (c Caller) Post(ctx context.Context, to, key string, body []byte) (answer Answer, err error) {
	address, err := url.Parse(to)
	if err != nil || address.Host == "" || address.Scheme != "http" && address.Scheme != "https" {
		return Answer{}, worker.Reject(errors.New("the address to call is no http or https URL"))
	}
	dependency := endpointOf(address)
	err = c.Breakers.Call(ctx, dependency, func() (err error) {
		answer, err = c.post(ctx, address, key, body)
		var broken serverError
		switch {
		case err == nil:
			c.Breakers.TookCall(dependency, key)
		case errors.As(err, &broken) && !c.Breakers.IsOwnFault(dependency, key):
			return worker.Unavailable(dependency, err, 0)
		}
		return err
	})
	return answer, err
}

func (c Caller) post(ctx context.Context, to *url.URL, key string, body []byte) (Answer, error) {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = callTime
	}
	calling, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%w within %s", errNoAnswer, timeout))
	defer cancel()
	request, err := http.NewRequestWithContext(calling, http.MethodPost, to.String(), bytes.NewReader(body))
	if err != nil {
		return Answer{}, worker.Reject(fmt.Errorf("calling %s: %w", to.Host, bare(ctx, err)))
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Idempotency-Key", key)
	request.Header.Set("User-Agent", "composerp")
	response, err := client.Do(request)
	if err != nil {
		return Answer{}, fault(ctx, to, fmt.Errorf("calling %s: %w", to.Host, bare(calling, err)))
	}
	defer response.Body.Close()
	if !taken(response.StatusCode) {
		return Answer{}, refusal(to, response)
	}
	answer, err := read(response)
	if err != nil {
		return Answer{}, fault(ctx, to, fmt.Errorf("reading the answer of %s: %w", to.Host, bare(calling, err)))
	}
	return answer, nil
}

func taken(status int) bool { return status >= 200 && status < 300 || status == http.StatusConflict }

// read reads an answer's body up to the limit. One byte more tells whether that was all.
func read(response *http.Response) (Answer, error) {
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case len(body) > maxAnswer:
		return Answer{Status: response.StatusCode, TooLarge: true}, nil
	case err != nil:
		return Answer{}, err
	}
	return Answer{Status: response.StatusCode, Body: body}, nil
}

// endpointOf names the dependency that an address belongs to. The port is named
// where it is not the scheme's own.
func endpointOf(address *url.URL) string {
	host := strings.ToLower(address.Host)
	if port := address.Port(); port == "" || address.Scheme+port == "http80" || address.Scheme+port == "https443" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return address.Scheme + "://" + host
}

var errNoAnswer = errors.New("no answer")

// fault is the outcome of a call without an answer. It is the other side's fault
// when there was no connection or no answer in time; not when ctx was ended here.
// When the other side hung up, it is in doubt.
func fault(ctx context.Context, to *url.URL, err error) error {
	var timed interface{ Timeout() bool }
	var dialled *net.OpError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return err
	case errors.Is(err, errNoAnswer), errors.As(err, &timed) && timed.Timeout(),
		errors.As(err, &dialled) && dialled.Op == "dial", errors.As(err, &certificate):
		return worker.Unavailable(endpointOf(to), err, 0)
	}
	return worker.InDoubt(err)
}

// bare takes the address out of the error of a call, and names the timeout that ended it.
func bare(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var with *url.Error
	if errors.As(err, &with) {
		return with.Err
	}
	return err
}
