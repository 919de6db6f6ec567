package rabbitmq

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/text/encoding/unicode"
)

// plainBody returns a body as the UTF-8 text that workers and the log read: unpacked where its content-encoding is
// gzip, without a byte order mark, and recoded where it is UTF-16, with or without a mark. What cannot be unpacked
// stays as it is, with the reason.
func plainBody(d amqp.Delivery, most int) (body []byte, wrong string) {
	body, encoding := d.Body, strings.ToLower(d.ContentEncoding)
	if encoding == "gzip" || encoding == "x-gzip" {
		var err error
		if body, err = unpack(body, most); err != nil {
			return d.Body, "its body, by its content-encoding gzip: " + err.Error()
		}
	}
	order := unicode.LittleEndian
	begins := func(with string) bool { return bytes.HasPrefix(body, []byte(with)) }
	switch {
	case len(body) < 2 || body[0] == '{' && body[1] != 0: // JSON, which nearly all are
		return body, ""
	case begins("\xEF\xBB\xBF"):
		return body[3:], ""
	case begins("\xFE\xFF"), begins("\x00{"):
		order = unicode.BigEndian
	case begins("\xFF\xFE"), begins("{\x00"):
	default: // what is no text stays byte for byte
		return body, ""
	}
	recoded, err := unicode.UTF16(order, unicode.UseBOM).NewDecoder().Bytes(body)
	if err != nil || len(recoded) > most {
		return d.Body, fmt.Sprintf("its body, in UTF-16: it has more than %d bytes in UTF-8, or is no text", most)
	}
	return recoded, ""
}

// unpack returns at most that many bytes.
func unpack(packed []byte, most int) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(reader, int64(most)+1))
	if err == nil && len(body) > most {
		err = fmt.Errorf("it has more than %d bytes when it is unpacked", most)
	}
	return body, err
}
