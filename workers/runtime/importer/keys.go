package importer

import (
	"crypto/sha256"
	"errors"
	"io"
)

// Keys finds a key that stands in a file twice, in memory that does not grow with the file. Two keys are held to be
// the same by 128 bits of their hash: for two others to be so would take 2^64 rows.
type Keys struct {
	sorter *sorter
	text   []byte
}

// NewKeys begins without any. It must be closed.
func NewKeys() *Keys { return &Keys{sorter: newSorter()} }

// Close lets go of what was kept on disk.
func (k *Keys) Close() { k.sorter.close() }

// Add adds the key of a line, made of parts.
func (k *Keys) Add(line int64, parts ...string) error {
	k.text = k.text[:0]
	for _, part := range parts {
		k.text = appendPart(k.text, part)
	}
	sum := sha256.Sum256(k.text)
	return k.sorter.add(newEntry([16]byte(sum[:16]), line))
}

// FirstRepeat gives the first line whose key an earlier line has, and the first of those; 0 when there is none.
// Nothing may be added after it.
func (k *Keys) FirstRepeat() (line, earlier int64, err error) {
	next, err := k.sorter.sorted()
	if err != nil {
		return 0, 0, err
	}
	var first entry // of the key in hand
	for {
		e, err := next()
		switch {
		case errors.Is(err, io.EOF):
			return line, earlier, nil
		case err != nil:
			return 0, 0, err
		case first == (entry{}) || e.key() != first.key():
			first = e
		case line == 0 || e.number() < line:
			line, earlier = e.number(), first.number()
		}
	}
}
