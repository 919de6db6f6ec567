package workertest

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// Logs is a slog.Handler that keeps each record as a line: level, message, attributes.
type Logs struct {
	mu    sync.Mutex
	lines []string
}

// Logger writes to the logs.
func (l *Logs) Logger() *slog.Logger { return slog.New(l) }

// Enabled keeps records of every level.
func (l *Logs) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs keeps the attributes before those of each record.
func (l *Logs) WithAttrs(attributes []slog.Attr) slog.Handler { return logsWith{l, attributes} }

type logsWith struct {
	*Logs
	attributes []slog.Attr
}

func (l logsWith) WithAttrs(attributes []slog.Attr) slog.Handler {
	return logsWith{l.Logs, slices.Concat(l.attributes, attributes)}
}

func (l logsWith) WithGroup(string) slog.Handler { return l }

func (l logsWith) Handle(ctx context.Context, r slog.Record) error {
	whole := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	whole.AddAttrs(l.attributes...)
	r.Attrs(func(a slog.Attr) bool { whole.AddAttrs(a); return true })
	return l.Logs.Handle(ctx, whole)
}

// WithGroup keeps attributes without their group.
func (l *Logs) WithGroup(string) slog.Handler { return l }

// Handle keeps a record.
func (l *Logs) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	return nil
}

// Lines are the lines so far.
func (l *Logs) Lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// Has tells whether a line contains all of the parts.
func (l *Logs) Has(parts ...string) bool {
	return slices.ContainsFunc(l.Lines(), func(line string) bool {
		return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) })
	})
}

// String is all lines.
func (l *Logs) String() string { return strings.Join(l.Lines(), "\n") }
