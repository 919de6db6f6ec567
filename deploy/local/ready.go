package local

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"
)

// await tries ready until it succeeds. It ends early, with the reason from the log, when the server does.
func await(ctx context.Context, server *child, ready func(ctx context.Context) error) error {
	ticker := time.NewTicker(2 * pollEvery)
	defer ticker.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, 3*time.Second)
		err := ready(attempt)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-server.done:
			return ended(server)
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w: %v: %s", server.name, ctx.Err(), err, server.reason())
		case <-ticker.C:
		}
	}
}

// ended is the error of a server that ended while it should have come up.
func ended(server *child) error {
	reason := server.reason()
	if portTaken.MatchString(reason) {
		return fmt.Errorf("%s did not start: %w: %s", server.name, errPortTaken, reason)
	}
	if tooOld.MatchString(reason) {
		return fmt.Errorf("%s did not start: it cannot read the data of a version that old: docs/howto/upgrade-rabbitmq.md says how to go on (%s)", server.name, reason)
	}
	return fmt.Errorf("%s did not start: %s", server.name, reason)
}

var portTaken = regexp.MustCompile(`(?i)eaddrinuse|address already in use|in use by`)

// tooOld is what RabbitMQ writes when the version that made its data is several series older.
var tooOld = regexp.MustCompile(`required feature flag not enabled|disabled_required_feature_flag`)

// telling are the kinds of lines that say why a server ended, the most telling first.
var telling = []*regexp.Regexp{
	portTaken,
	tooOld,
	regexp.MustCompile(`(?i)no space left|enospc|disk quota`),
	regexp.MustCompile(`FATAL|PANIC|\bERROR: |Error during startup`),
	regexp.MustCompile(`(?i)permission denied|eacces`),
	regexp.MustCompile(`(?i)\[error\].*\b(error|failed|cannot|could not)|^error|initdb: error`),
}

// logReason is one line out of what was written to a log from an offset on: the most telling, or the last.
func logReason(path string, from int64) string {
	lines := logLines(path, from)
	if len(lines) == 0 {
		return "it wrote nothing to its log"
	}
	for _, kind := range telling {
		for _, line := range lines {
			if kind.MatchString(line) {
				return shorten(line)
			}
		}
	}
	return shorten(lines[len(lines)-1])
}

// logPrefix is what both servers put before a message: time, and for RabbitMQ level and Erlang process. The first line
// that RabbitMQ logs stands behind the end of its banner.
var logPrefix = regexp.MustCompile(`^(Starting broker\.\.\.)?\s*\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S*( UTC)?( \[\w+\])?( <[\d.]+>)?\s*`)

func logLines(path string, from int64) []string {
	raw := readLog(path, from, 256<<10)
	var lines []string
	for _, line := range bytes.Split(raw, []byte("\n")) {
		if text := strings.TrimSpace(string(line)); logPrefix.ReplaceAllString(text, "") != "" {
			lines = append(lines, text)
		}
	}
	return lines
}

// readLog reads what was written to a log from an offset on, at most that many bytes.
func readLog(path string, from, most int64) []byte {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	raw, _ := io.ReadAll(io.NewSectionReader(file, from, most))
	return raw
}

// shorten keeps both ends of a long line: RabbitMQ says what it did at the beginning and why it went wrong at the end.
func shorten(line string) string {
	const longest = 300
	line = strings.ToValidUTF8(logPrefix.ReplaceAllString(line, ""), "?")
	if len(line) > longest {
		line = strings.ToValidUTF8(line[:longest/2]+" ... "+line[len(line)-longest/2:], "?")
	}
	return line
}
