package webcall_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/webcall"
)

func serve(t *testing.T, handle http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(handle)
	t.Cleanup(s.Close)
	return s
}

func TestAPostIsJSONWithAKey(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		user, password, _ := r.BasicAuth()
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, r.Method, r.URL.Path, r.Header["Idempotency-Key"], r.Header["Content-Type"], user, password, string(body))
	})
	to := strings.Replace(s.URL, "http://", "http://u:p@", 1) + "/orders"
	answer, err := webcall.Caller{}.Post(t.Context(), to, "po-1:send", []byte(`{"a":1}`))
	if want := `POST/orders[po-1:send] [application/json]up{"a":1}`; err != nil || answer.Status != 201 || string(answer.Body) != want {
		t.Errorf("want %s, got %d %s, %v", want, answer.Status, answer.Body, err)
	}
}

func TestWhatAnAnswerMeans(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 300)
	for status, c := range map[int]struct {
		body     string
		rejected bool
		failed   bool
		says     string
	}{
		200: {`{}`, false, false, ""},
		204: {``, false, false, ""},
		409: {`{"supplierReference":"S-1"}`, false, false, ""},
		303: {``, false, true, "a redirect to elsewhere.example, which is not followed"},
		307: {``, false, true, "answered 307 Temporary Redirect"},
		301: {``, true, true, "a redirect to elsewhere.example"},
		308: {``, true, true, "a redirect to elsewhere.example"},
		400: {"no\r\nsuch\x00item\xff \x1b[31mred", true, true, "answered 400 Bad Request: no such item [31mred"},
		401: {``, true, true, "answered 401 Unauthorized"},
		404: {long, true, true, ": " + strings.Repeat("ä", 200)},
		422: {`{"error":"unknown item"}`, true, true, `{"error":"unknown item"}`},
		408: {``, false, true, "408"},
		425: {``, false, true, "425"},
		429: {`slow down`, false, true, "slow down"},
		500: {``, false, true, "500"},
		503: {``, false, true, "503"},
		599: {``, false, true, "answered 599"},
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "https://elsewhere.example/secret")
				w.WriteHeader(status)
				fmt.Fprint(w, c.body)
			})
			answer, err := webcall.Caller{}.Post(t.Context(), s.URL+"/secret", "k", nil)
			if !c.failed {
				if err != nil || answer.Status != status || string(answer.Body) != c.body {
					t.Errorf("want an answer, got %+v, %v", answer, err)
				}
				return
			}
			if err == nil || errors.Is(err, worker.ErrRejected) != c.rejected || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("want rejected %t and %q, got %v", c.rejected, c.says, err)
			}
			if strings.Contains(err.Error(), "secret") || strings.ContainsAny(err.Error(), "\n\x00\x1b") || len([]rune(err.Error())) > 300 {
				t.Errorf("want one short line without addresses, got %q", err)
			}
		})
	}
}

// A server error is the server's trouble, unless it answers so for one message alone while it takes others.
func TestWhoseFaultAServerErrorIs(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if key := r.Header.Get("Idempotency-Key"); broken.Load() || key == "poison" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	caller := webcall.Caller{Breakers: &worker.Breakers{}}
	for i, step := range []struct {
		broken    bool
		key, want string
	}{
		{true, "a", "away"}, {true, "a", "away"}, {true, "b", "away"}, {true, "poison", "away"}, // for seconds
		{false, "a", "taken"}, {false, "b", "taken"},
		{false, "poison", "its own"}, {false, "poison", "its own"},
		{true, "c", "away"}, {false, "c", "taken"}, // a message that fails once more is not to blame
		{true, "c", "away"}, {false, "d", "taken"}, {false, "c", "taken"},
	} {
		broken.Store(step.broken)
		_, err := caller.Post(t.Context(), s.URL, step.key, nil)
		got := "its own"
		if err == nil {
			got = "taken"
		} else if errors.Is(err, worker.ErrUnavailable) {
			got = "away"
		}
		if got != step.want || errors.Is(err, worker.ErrRejected) {
			t.Errorf("step %d, %s: %s, want %s: %v", i, step.key, got, step.want, err)
		}
	}
	broken.Store(true)
	if _, err := (webcall.Caller{}).Post(t.Context(), s.URL, "k", nil); err == nil || errors.Is(err, worker.ErrUnavailable) {
		t.Errorf("without breakers: %v", err)
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	var strangers atomic.Int32
	stranger := serve(t, func(http.ResponseWriter, *http.Request) { strangers.Add(1) })
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, stranger.URL, http.StatusTemporaryRedirect)
	})
	if _, err := (webcall.Caller{}).Post(t.Context(), s.URL, "k", []byte("{}")); err == nil || strangers.Load() != 0 {
		t.Errorf("want an error and no call at the stranger's, got %v and %d", err, strangers.Load())
	}
}

// A server that says nothing, and one that stops in the middle of its answer, are given up in time.
func TestAHangingServerIsGivenUp(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(http.ResponseWriter){
		"before the answer": func(http.ResponseWriter) {},
		"within the answer": func(w http.ResponseWriter) {
			fmt.Fprint(w, `{"supplierRef`)
			w.(http.Flusher).Flush()
		},
		"within a refusal": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusInternalServerError)
			w.(http.Flusher).Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				begin(w)
				<-r.Context().Done()
			})
			began := time.Now()
			_, err := webcall.Caller{Timeout: 200 * time.Millisecond}.Post(t.Context(), s.URL, "k", []byte("{}"))
			if err == nil || errors.Is(err, worker.ErrRejected) || name != "within a refusal" && !strings.Contains(err.Error(), "no answer within 200ms") {
				t.Errorf("want to try again, got %v", err)
			}
			if time.Since(began) > localtest.Deadline(5*time.Second) {
				t.Errorf("it took %s", time.Since(began))
			}
		})
	}
}

func TestWhoStopsTheCallIsToldSo(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	})
	if _, err := (webcall.Caller{}).Post(ctx, s.URL, "k", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("want it cancelled, got %v", err)
	}
}

// An answer without an end costs no more memory than the limit, and counts as one: the order was taken.
func TestAHugeAnswerIsNotReadWhole(t *testing.T) {
	t.Parallel()
	written := make(chan int, 1)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for chunk, n := strings.Repeat("x", 1<<10), 0; ; n += len(chunk) {
			if _, err := io.WriteString(w, chunk); err != nil {
				written <- n
				return
			}
		}
	})
	answer, err := webcall.Caller{}.Post(t.Context(), s.URL, "k", nil)
	if err != nil || !answer.TooLarge || len(answer.Body) != 0 || answer.Status != 200 {
		t.Errorf("want a taken call without a body, got %d, %d bytes, %v", answer.Status, len(answer.Body), err)
	}
	if n := <-written; n > 32<<20 {
		t.Errorf("%d bytes were sent before the end: more than buffers on the way can hold", n)
	}
}

// half closes the connection in the middle of its answer.
func half(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "100")
	fmt.Fprint(w, `{"supplierReference":`)
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func TestHalfAnAnswerIsNone(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]http.HandlerFunc{
		"half": half, "hung up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		s := serve(t, server)
		_, err := (webcall.Caller{}).Post(t.Context(), s.URL, "k", nil)
		if !errors.Is(err, worker.ErrInDoubt) || errors.Is(err, worker.ErrRejected) || errors.Is(err, worker.ErrUnavailable) {
			t.Errorf("%s: want to try again, in doubt whose fault it is, got %v", name, err)
		}
	}
}

func TestNoServer(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := closed.Addr().String()
	closed.Close()
	_, err = webcall.Caller{}.Post(t.Context(), "http://user:secret@"+address+"/secret?token=secret", "k", nil)
	if err == nil || errors.Is(err, worker.ErrRejected) || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "calling "+address) {
		t.Errorf("want to try again and no secret told, got %v", err)
	}
	for _, bad := range []string{"", "host/path", "ftp://host/", "http://", "http://ho st/secret", "mailto:secret@host"} {
		if _, err := (webcall.Caller{}).Post(t.Context(), bad, "k", nil); !errors.Is(err, worker.ErrRejected) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: want a rejection, got %v", bad, err)
		}
	}
}
