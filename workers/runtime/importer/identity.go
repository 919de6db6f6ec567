package importer

import (
	"crypto/sha1" //nolint:gosec // UUIDv5 is SHA-1 by RFC 9562; nothing is secured by it.
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"

	"github.com/google/uuid"

	"github.com/composerp/composerp/workers/runtime/importer/extsort"
	"github.com/composerp/composerp/workers/runtime/importer/rowfile"
)

// rowNamespace is the namespace of imported events' ids. It is part of the contract, as is what rowID puts into the
// name: another one would give every row ever imported a new id, and the next import would count it once more.
var rowNamespace = uuid.MustParse("5f0a3d0e-8a57-5c7e-9b53-0c6a2d1f4e03")

// identity tells rows apart by a key. It keeps its buffer from row to row.
type identity struct{ content, name []byte }

// of takes all of a row: its columns by name, those without a value left out, each name and value with its length
// before it. Neither the order of the columns nor quoting, spacing of JSON, line ends or an added empty column change
// it.
func (id *identity) of(r *rowfile.Record) {
	id.content = id.content[:0]
	for _, i := range r.Order {
		if r.Values[i] != "" {
			id.content = appendPart(id.content, r.Names[i])
			id.content = appendPart(id.content, r.Values[i])
		}
	}
}

// ofKey takes a row's key in the same form: a key of every column is all of the row. The rejection says why it has
// none.
func (id *identity) ofKey(r *row, k *key) *Rejection {
	if k.whole {
		id.of(r.record)
		return nil
	}
	id.content = id.content[:0]
	for _, part := range k.parts {
		text, problem := r.text(part.slot)
		if problem != nil {
			return problem
		}
		if text != "" {
			id.content = appendPart(id.content, part.name)
			id.content = appendPart(id.content, text)
		}
	}
	if len(id.content) == 0 && k.named {
		return rowfile.Reject(ReasonNoKey, "identity: all of the key's columns are empty")
	}
	return nil
}

func appendPart(b []byte, part string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
	return append(b, part...)
}

// key is the content in 16 bytes. Two contents with one key would take 2^64 rows.
func (id *identity) key() [16]byte {
	sum := sha256.Sum256(id.content)
	return [16]byte(sum[:16])
}

// rowID is the eventId of the occurrence-th row (from 1) with this content, said to this tenant by this source.
func (id *identity) rowID(tenant, source string, occurrence int64) uuid.UUID {
	id.name = append(id.name[:0], rowNamespace[:]...)
	id.name = appendPart(id.name, tenant)
	id.name = appendPart(id.name, source)
	id.name = binary.BigEndian.AppendUint64(id.name, uint64(occurrence))
	id.name = append(id.name, id.content...)
	sum := sha1.Sum(id.name)
	u := uuid.UUID(sum[:16])
	u[6] = u[6]&0x0f | 0x50
	u[8] = u[8]&0x3f | 0x80
	return u
}

// Keys finds a key that stands in a file twice, in memory that does not grow with the file. Two keys are held to be
// the same by 128 bits of their hash: for two others to be so would take 2^64 rows.
type Keys struct {
	sorter extsort.Sorter
	text   []byte
}

// NewKeys begins without any. It must be closed.
func NewKeys() *Keys { return &Keys{} }

// Close lets go of what was kept on disk.
func (k *Keys) Close() { k.sorter.Close() }

// Add adds the key of a line, made of parts.
func (k *Keys) Add(line int64, parts ...string) error {
	k.text = k.text[:0]
	for _, part := range parts {
		k.text = appendPart(k.text, part)
	}
	sum := sha256.Sum256(k.text)
	return k.sorter.Add(extsort.NewEntry([16]byte(sum[:16]), line))
}

// FirstRepeat gives the first line whose key an earlier line has, and the first of those; 0 when there is none.
// Nothing may be added after it.
func (k *Keys) FirstRepeat() (line, earlier int64, err error) {
	next, err := k.sorter.Sorted()
	if err != nil {
		return 0, 0, err
	}
	var first extsort.Entry // of the key in hand
	for {
		e, err := next()
		switch {
		case errors.Is(err, io.EOF):
			return line, earlier, nil
		case err != nil:
			return 0, 0, err
		case first == (extsort.Entry{}) || e.Key() != first.Key():
			first = e
		case line == 0 || e.Number() < line:
			line, earlier = e.Number(), first.Number()
		}
	}
}
