package rabbitmq

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
)

func pack(t *testing.T, text string) string {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.String()
}

func TestBodiesInOtherEncodings(t *testing.T) {
	t.Parallel()
	const want = `{"é":"文"}`
	const little = "{\x00\"\x00\xe9\x00\"\x00:\x00\"\x00\x87\x65\"\x00}\x00"
	const big = "\x00{\x00\"\x00\xe9\x00\"\x00:\x00\"\x65\x87\x00\"\x00}"
	for name, c := range map[string]struct{ body, encoding, want, wrong string }{
		"UTF-8":                          {want, "", want, ""},
		"empty":                          {"", "", "", ""},
		"one byte":                       {"{", "", "{", ""},
		"no JSON":                        {"\xffhello", "", "\xffhello", ""},
		"no text":                        {"\x00\xff", "", "\x00\xff", ""},
		"a byte order mark":              {"\xEF\xBB\xBF" + want, "", want, ""},
		"little endian":                  {little, "", want, ""},
		"little endian, marked":          {"\xFF\xFE" + little, "", want, ""},
		"big endian":                     {big, "", want, ""},
		"big endian, marked":             {"\xFE\xFF" + big, "", want, ""},
		"packed":                         {pack(t, want), "gzip", want, ""},
		"packed, in capitals":            {pack(t, want), "GZIP", want, ""},
		"packed, in two pieces, padded":  {pack(t, want[:9]) + pack(t, want[9:]) + "\x00\x00", "gzip", want, ""},
		"packed, with a byte order mark": {pack(t, "\xEF\xBB\xBF"+want), "x-gzip", want, ""},
		"packed, in UTF-16":              {pack(t, "\xFF\xFE"+little), "gzip", want, ""},
		"packed, and not said":           {pack(t, want), "", pack(t, want), ""},
		"an encoding that is not known":  {want, "utf-8", want, ""},
		"not packed, though it is said":  {want, "gzip", want, "invalid header"},
		"packed, and cut":                {pack(t, want)[:20], "gzip", pack(t, want)[:20], "unexpected EOF"},
		"packed, and too large":          {pack(t, strings.Repeat("a", 101)), "gzip", pack(t, strings.Repeat("a", 101)), "more than 100 bytes"},
		"too large as UTF-8":             {"\xFE\xFF" + strings.Repeat("\x65\x87", 34), "", "\xFE\xFF" + strings.Repeat("\x65\x87", 34), "more than 100 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, wrong := plainBody(amqp.Delivery{Body: []byte(c.body), ContentEncoding: c.encoding}, 100)
			if string(got) != c.want || (wrong == "") != (c.wrong == "") || !strings.Contains(wrong, c.wrong) {
				t.Errorf("%q, %q; want %q, %q", got, wrong, c.want, c.wrong)
			}
		})
	}
}
