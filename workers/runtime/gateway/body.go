package gateway

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// The media types that a request may have.
const (
	typeJSON        = "application/json"
	typeNDJSON      = "application/x-ndjson"
	typeCloudEvent  = "application/cloudevents+json"
	typeCloudEvents = "application/cloudevents-batch+json"
)

var errTooMuch = fmt.Errorf("the body has more than %d bytes, as sent or unpacked: send several requests", MaxBody)

// room is a part of the bound of all bodies in hand. It is free when all who share it have left.
type room struct {
	of     *semaphore.Weighted
	size   int64
	shared atomic.Int32
}

func (r *room) share() *room { r.shared.Add(1); return r }

func (r *room) leave() {
	if r.shared.Add(-1) == 0 {
		r.of.Release(r.size)
	}
}

// body reads the whole body, unpacked, into room for its largest size.
func (g *Gateway) body(w http.ResponseWriter, r *http.Request) (body []byte, in *room, p *problem) {
	size := r.ContentLength
	packed := false
	switch encoding := strings.ToLower(r.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
	case "gzip", "x-gzip":
		packed = true
	default:
		w.Header().Set("Accept-Encoding", "gzip")
		return nil, nil, newProblem(http.StatusUnsupportedMediaType, "Content-Encoding: want gzip or none").of("Content-Encoding")
	}
	if size > MaxBody {
		w.Header().Set("Connection", "close")
		return nil, nil, newProblem(http.StatusRequestEntityTooLarge, errTooMuch.Error())
	}
	if packed || size < 0 {
		size = MaxBody
	}
	if !g.bodies.TryAcquire(size) {
		return nil, nil, unavailable("too many bodies are being read: send it again")
	}
	in = (&room{of: g.bodies, size: size}).share()
	body, err := readBody(http.MaxBytesReader(w, r.Body, MaxBody), size, packed)
	if err != nil {
		in.leave()
		return nil, nil, g.bodyProblem(err)
	}
	return body, in, nil
}

func readBody(in io.Reader, size int64, packed bool) ([]byte, error) {
	var b bytes.Buffer
	if packed {
		unpacked, err := gzip.NewReader(bufio.NewReader(in))
		if err != nil {
			return nil, err
		}
		in = unpacked
	} else if size < MaxBody {
		b.Grow(int(size) + bytes.MinRead)
	}
	n, err := b.ReadFrom(io.LimitReader(in, MaxBody+1))
	if err == nil && n > MaxBody {
		err = errTooMuch
	}
	return b.Bytes(), err
}

func (g *Gateway) bodyProblem(err error) *problem {
	var large *http.MaxBytesError
	var slow net.Error
	switch {
	case errors.Is(err, errTooMuch), errors.As(err, &large):
		return newProblem(http.StatusRequestEntityTooLarge, errTooMuch.Error())
	case errors.As(err, &slow) && slow.Timeout():
		return newProblem(http.StatusRequestTimeout, fmt.Sprintf("the request has not arrived in %s: send less at once", g.cfg.RequestTime))
	}
	return newProblem(http.StatusBadRequest, "the body cannot be read: "+err.Error())
}

// document is one event of a request as it came.
type document struct {
	body []byte
	// cloud is the event as a CloudEvent, nil where body is the event.
	cloud *cloudEvent
	// bad is why there is no event.
	bad *problem
}

// documents takes a request apart. batch says whether it may have several events.
func documents(header http.Header, body []byte) (docs []document, batch bool, p *problem) {
	media := mediaType(header.Get("Content-Type"))
	if header.Get("Ce-Specversion") != "" && media != typeCloudEvent && media != typeCloudEvents {
		c, p := binaryEvent(header, body)
		return []document{{cloud: c}}, false, p
	}
	switch media {
	case typeCloudEvent:
		return []document{structuredEvent(body)}, false, nil
	case typeCloudEvents:
		docs, p = array(body, structuredEvent)
		return docs, true, p
	case typeNDJSON, "application/ndjson", "application/jsonl", "application/json-lines":
		return lines(body)
	case typeJSON:
		if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '[' {
			docs, p = array(body, plain)
			return docs, true, p
		}
		return []document{plain(body)}, false, nil
	}
	return nil, false, newProblem(http.StatusUnsupportedMediaType,
		"Content-Type: want "+strings.Join([]string{typeJSON, typeNDJSON, typeCloudEvent, typeCloudEvents}, ", ")+", or the headers ce-... of a CloudEvent").of("Content-Type")
}

func plain(body []byte) document { return document{body: body} }

// array takes a JSON array apart. An array that ends early is refused whole, and so is an empty one.
func array(body []byte, read func([]byte) document) (docs []document, p *problem) {
	var items []json.RawMessage
	if err := json.Unmarshal(body, &items); err != nil {
		return nil, newProblem(http.StatusBadRequest, "the body is no JSON array: "+err.Error())
	}
	if len(items) == 0 {
		return nil, newProblem(http.StatusBadRequest, "the array has no events")
	}
	if len(items) > MaxEvents { // before any is read
		return make([]document, len(items)), nil
	}
	for _, item := range items {
		docs = append(docs, read(item))
	}
	return docs, nil
}

// lines takes NDJSON apart; blank lines do not count.
func lines(body []byte) (docs []document, batch bool, p *problem) {
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			docs = append(docs, plain(line))
		}
	}
	if len(docs) == 0 {
		return nil, true, newProblem(http.StatusBadRequest, "the body has no lines with events")
	}
	return docs, true, nil
}
