package plaintext_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/composerp/composerp/exchange/plaintext"
)

func packed(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGunzip(t *testing.T) {
	t.Parallel()
	one, two, none := packed(t, "one"), packed(t, "two"), packed(t, "")
	for in, want := range map[string]string{
		one:                              "one",
		one + two:                        "onetwo",
		none + one + none + two + none:   "onetwo",
		one + strings.Repeat("\x00", 99): "one",
		one + "\x00\x00" + two + "\x00":  "onetwo",
		none:                             "",
		one + "more than ten bytes":      "one: gzip: invalid header",
		one + "\x00more than ten bytes":  "one: gzip: invalid header",
		one + two[:5]:                    "one: unexpected EOF",
		one[:len(one)-3]:                 "one: unexpected EOF",
		strings.Repeat("\x00", 20):       ": gzip: invalid header",
	} {
		for _, slow := range []bool{false, true} {
			from := io.Reader(strings.NewReader(in))
			if slow {
				from = iotest.OneByteReader(from)
			}
			var text []byte
			unpacked, err := plaintext.Gunzip(bufio.NewReader(from))
			if err == nil {
				text, err = io.ReadAll(unpacked)
			}
			got := string(text)
			if err != nil {
				got += ": " + err.Error()
			}
			if got != want {
				t.Errorf("%q: got %q, want %q", in, got, want)
			}
		}
	}
}

func TestRecode(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"\uFEFFa€":                   "a€",
		"a€":                         "a€",
		"\xFF\xFEa\x00\xAC\x20":      "a€",
		"\xFE\xFF\x00a\x20\xAC":      "a€",
		"\xFF\xFE\x3D\xD8\x00\xDE":   "😀",
		"\xFF\xFE\x3D\xD8a\x00":      "\uFFFDa",
		"\xFF\xFEa\x00b":             "a\uFFFD",
		"\xFF\xFE\xFF\xFEa\x00":      "\uFEFFa",
		"\xFE\xFF":                   "",
		"":                           "",
		"\xFF\xFE" + "\n\x00" + "\r": "\n\uFFFD",
	} {
		encoding, mark := plaintext.Marked([]byte(in))
		got, err := io.ReadAll(plaintext.Recode(iotest.OneByteReader(strings.NewReader(in[mark:])), encoding))
		if string(got) != want || err != nil {
			t.Errorf("%q: got %q, %v, want %q", in, got, err, want)
		}
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"\uFEFFa: 1": "a: 1", "a: 1": "a: 1", "\xFF\xFEa\x00": "a", "": ""} {
		if got := string(plaintext.Text([]byte(in))); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestGunzipOfABrokenStream(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	unpacked, err := plaintext.Gunzip(bufio.NewReader(io.MultiReader(strings.NewReader(packed(t, "one")), iotest.ErrReader(broken))))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(unpacked); string(text) != "one" || !errors.Is(err, broken) {
		t.Errorf("got %q, %v", text, err)
	}
}
