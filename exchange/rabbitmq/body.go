package rabbitmq

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/composerp/composerp/exchange/plaintext"
)

// plainLimit bounds how far a body may grow, in bytes: the broker takes messages of this size, so also the
// copy that goes to a retry queue or to the dead letters.
const plainLimit = 1 << 20

// plainBody returns a body as the UTF-8 text that workers and the log read: unpacked where its content-encoding is
// gzip, without a byte order mark, and recoded where it is UTF-16, with or without a mark. What cannot be unpacked, or
// has more than most bytes then, stays as it is, with the reason.
func plainBody(d amqp.Delivery, most int) (body []byte, wrong string) {
	body, encoding := d.Body, strings.ToLower(d.ContentEncoding)
	if encoding == "gzip" || encoding == "x-gzip" {
		var err error
		if body, err = unpack(body, most); err != nil {
			return d.Body, "its body, by its content-encoding gzip: " + err.Error()
		}
	}
	begins := func(with string) bool { return bytes.HasPrefix(body, []byte(with)) }
	text, mark := plaintext.Marked(body)
	switch {
	case len(body) < 2 || body[0] == '{' && body[1] != 0: // JSON, which nearly all are
		return body, ""
	case mark > 0:
	case begins("\x00{"):
		text = plaintext.UTF16BE
	case begins("{\x00"):
		text = plaintext.UTF16LE
	default: // what is no text stays byte for byte
		return body, ""
	}
	if text == plaintext.UTF8 {
		return body[mark:], ""
	}
	recoded, err := io.ReadAll(plaintext.Recode(bytes.NewReader(body[mark:]), text))
	if err != nil || len(recoded) > most {
		return d.Body, fmt.Sprintf("its body, in UTF-16: it has more than %d bytes in UTF-8, or is no text", most)
	}
	return recoded, ""
}

// unpack returns at most that many bytes.
func unpack(packed []byte, most int) ([]byte, error) {
	reader, err := plaintext.Gunzip(bufio.NewReader(bytes.NewReader(packed)))
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(reader, int64(most)+1))
	if err == nil && len(body) > most {
		err = fmt.Errorf("it has more than %d bytes when it is unpacked", most)
	}
	return body, err
}
