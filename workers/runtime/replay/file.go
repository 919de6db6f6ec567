package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventquery"
	"github.com/composerp/composerp/store/failpoint"
)

// ErrFile means that the file is not as the replay left it, or that there is one already.
var ErrFile = errors.New("the file is not this replay's")

// toFile writes lines, and moves the cursor when they are on the disk.
func (r *run) toFile(ctx context.Context) error {
	f, err := openAt(r.Replay.Name, r.Replay.Bytes)
	if err != nil {
		return err
	}
	defer f.Close()
	pack, err := packing(r.Replay.Name)
	if err != nil {
		return err
	}
	err = r.read(ctx, func(p page) error {
		lines, err := r.lines(ctx, p.events)
		if err != nil {
			return err
		}
		if len(lines) > 0 {
			if err := r.append(f, pack(lines)); err != nil {
				return err
			}
			failpoint.Hit("replay.written")
		}
		r.at.Events += int64(len(p.events))
		return r.move(ctx, p.upto)
	})
	if err == nil && r.at.Bytes == 0 {
		err = r.append(f, pack(nil)) // a file of no lines is one that zstd reads
	}
	return errors.Join(err, f.Close())
}

// append writes to the end of the file, and waits until it is on the disk.
func (r *run) append(f *os.File, text []byte) error {
	if _, err := f.Write(text); err != nil {
		return fmt.Errorf("writing events: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("writing events: %w", err)
	}
	r.at.Bytes += int64(len(text))
	return nil
}

// CompressedSuffix ends the names of files that are compressed by zstd.
const CompressedSuffix = ".zst"

// packing gives what makes bytes of a file of some lines. A compressed file is a row of frames, one for each page, so
// that it can be cut to the length that is noted, and gone on with.
func packing(name string) (func(lines []byte) []byte, error) {
	if !strings.HasSuffix(name, CompressedSuffix) {
		return func(lines []byte) []byte { return lines }, nil
	}
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithZeroFrames(true))
	if err != nil {
		return nil, fmt.Errorf("compressing events: %w", err)
	}
	return func(lines []byte) []byte { return encoder.EncodeAll(lines, nil) }, nil
}

// openAt makes a new file, or opens one and cuts it to the length that is noted.
func openAt(path string, length int64) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("opening the file of the replay: %w", err)
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil && size < length {
		err = fmt.Errorf("%w: %s has %d bytes, and the replay wrote %d; replay to another file", ErrFile, path, size, length)
	}
	if err == nil {
		err = f.Truncate(length)
	}
	if err == nil {
		_, err = f.Seek(length, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// CheckNew returns an error when there is a file with something in it: a replay begins a file.
func CheckNew(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: %s is no regular file", ErrFile, path)
	case info.Size() > 0:
		return fmt.Errorf("%w: %s has something in it already; name a new file, or resume the replay that wrote it", ErrFile, path)
	}
	return nil
}

func (r *run) lines(ctx context.Context, events []eventquery.Event) ([]byte, error) {
	var text bytes.Buffer
	for i := range events {
		if err := r.pace.wait(ctx); err != nil {
			return nil, err
		}
		if err := writeLine(&text, &events[i]); err != nil {
			return nil, err
		}
	}
	return text.Bytes(), nil
}

// writeLine writes an event as it was published; one that was published on several lines comes on one.
func writeLine(text *bytes.Buffer, e *eventquery.Event) error {
	if !bytes.ContainsAny(e.Body, "\r\n") {
		text.Write(e.Body)
	} else if err := json.Compact(text, e.Body); err != nil {
		return fmt.Errorf("writing event %s: %w", e.ID, err)
	}
	return text.WriteByte('\n')
}

// Write writes the events of a query as lines, without a row that a later process could resume by.
func Write(ctx context.Context, db *store.DB, q eventquery.Query, rate int, to io.Writer) (events int64, err error) {
	if q.Seen, err = eventquery.NewestMark(ctx, db); err != nil {
		return 0, err
	}
	r := run{pace: pacer{rate: rate}}
	_, err = eventquery.Each(ctx, db, q, func(page []eventquery.Event) error {
		for i := range page { // line by line: a slow reader sees them at their pace
			line, err := r.lines(ctx, page[i:i+1])
			if err != nil {
				return err
			}
			if _, err := to.Write(line); err != nil {
				return err
			}
			events++
		}
		return nil
	})
	return events, err
}
