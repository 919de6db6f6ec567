// Package logs keeps what a test logs.
package logs

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// Kept is a slog.Handler that keeps each record as a line: level, message, attributes.
type Kept struct {
	mu    sync.Mutex
	lines []string
}

// Logger writes to the logs.
func (l *Kept) Logger() *slog.Logger { return slog.New(l) }

// Enabled keeps records of every level.
func (l *Kept) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs keeps the attributes before those of each record.
func (l *Kept) WithAttrs(attributes []slog.Attr) slog.Handler { return keptWith{l, attributes} }

type keptWith struct {
	*Kept
	attributes []slog.Attr
}

func (l keptWith) WithAttrs(attributes []slog.Attr) slog.Handler {
	return keptWith{l.Kept, slices.Concat(l.attributes, attributes)}
}

func (l keptWith) WithGroup(string) slog.Handler { return l }

func (l keptWith) Handle(ctx context.Context, r slog.Record) error {
	whole := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	whole.AddAttrs(l.attributes...)
	r.Attrs(func(a slog.Attr) bool { whole.AddAttrs(a); return true })
	return l.Kept.Handle(ctx, whole)
}

// WithGroup keeps attributes without their group.
func (l *Kept) WithGroup(string) slog.Handler { return l }

// Handle keeps a record.
func (l *Kept) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	return nil
}

// Lines are the lines so far.
func (l *Kept) Lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// Has tells whether a line contains all of the parts.
func (l *Kept) Has(parts ...string) bool {
	return slices.ContainsFunc(l.Lines(), func(line string) bool {
		return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) })
	})
}

// String is all lines.
func (l *Kept) String() string { return strings.Join(l.Lines(), "\n") }
