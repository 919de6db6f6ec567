package extension

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// ErrRefused says that the statement may not run in a handler's transaction.
var ErrRefused = errors.New("statement refused")

// allowed are the words that a statement may begin with.
var allowed = []string{"select", "insert", "update", "delete", "merge", "values", "table", "with"}

// refusedFunctions act beyond the transaction or on other sessions.
var refusedFunctions = regexp.MustCompile(`^(set_config|pg_notify|pg_advisory_(lock|unlock|unlock_all|lock_shared|unlock_shared)|` +
	`pg_try_advisory_(lock|lock_shared)|pg_terminate_backend|pg_cancel_backend|pg_reload_conf|pg_rotate_logfile|pg_sleep|pg_sleep_for|pg_sleep_until|` +
	`dblink.*|lo_import|lo_export|pg_read_.*|pg_export_snapshot|query_to_xml.*|cursor_to_xml.*)$`)

// check reads the statement as PostgreSQL's scanner does, as far as needed to know its words from its texts and
// comments.
func check(query string) error {
	words, err := scan(query)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w: %s", ErrRefused, err, excerpt(query))
	case len(words) == 0:
		return fmt.Errorf("%w: it is empty", ErrRefused)
	case !slices.Contains(allowed, words[0]):
		return fmt.Errorf("%w: %s is none of %s; the harness ends the transaction, and migrations change the schema", ErrRefused, strings.ToUpper(words[0]), strings.ToUpper(strings.Join(allowed, ", ")))
	}
	if (words[0] == "select" || words[0] == "with") && slices.Contains(words, "into") && !slices.Contains(words, "insert") && !slices.Contains(words, "merge") {
		return fmt.Errorf("%w: SELECT INTO makes a table; make it by a migration", ErrRefused)
	}
	for _, w := range words {
		if refusedFunctions.MatchString(w) {
			return fmt.Errorf("%w: %s acts beyond the transaction", ErrRefused, w)
		}
	}
	return nil
}

var (
	errTwo          = errors.New("it holds more than one statement")
	errUnterminated = errors.New("a text or comment in it does not end")
	errUnicode      = errors.New(`names and texts in Unicode escapes (U&"...") are not read here`)
)

// scan gives the words of one statement, in lower case, without its texts and comments. Quoted names are words as they
// stand: they may be a function's.
func scan(q string) (words []string, err error) {
	ended := false
	for i := 0; i < len(q); {
		rest := q[i:]
		n := 0
		switch {
		case strings.HasPrefix(rest, "--"):
			if n = strings.IndexAny(rest, "\n\r"); n < 0 {
				n = len(rest)
			}
			i += n
			continue
		case strings.HasPrefix(rest, "/*"):
			if n = comment(rest); n < 0 {
				return nil, errUnterminated
			}
			i += n
			continue
		case strings.IndexByte(" \t\n\r\f\v", rest[0]) >= 0:
			i++
			continue
		case rest[0] == ';':
			ended = true
			i++
			continue
		}
		if ended {
			return nil, errTwo
		}
		switch c := rest[0]; {
		case c == '\'':
			n = quoted(rest, '\'', false)
		case c == '"':
			if n = quoted(rest, '"', false); n > 0 {
				words = append(words, strings.ToLower(rest[1:n-1]))
			}
		case c == '$':
			n = dollar(rest)
		case letter(c):
			for n = 1; n < len(rest) && (letter(rest[n]) || rest[n] >= '0' && rest[n] <= '9' || rest[n] == '$'); n++ {
			}
			word := strings.ToLower(rest[:n])
			switch {
			case word == "e" && n < len(rest) && rest[n] == '\'':
				end := quoted(rest[n:], '\'', true)
				if end < 0 {
					return nil, errUnterminated
				}
				n += end
			case word == "u" && strings.HasPrefix(rest[n:], "&") && len(rest) > n+1 && (rest[n+1] == '\'' || rest[n+1] == '"'):
				return nil, errUnicode
			default:
				words = append(words, word)
			}
		case c >= '0' && c <= '9': // so that 1e'x' is a number and a text, as for PostgreSQL no statement at all
			for n = 1; n < len(rest) && (rest[n] >= '0' && rest[n] <= '9' || rest[n] == '.' || letter(rest[n])); n++ {
			}
		default:
			n = 1
		}
		if n < 0 {
			return nil, errUnterminated
		}
		i += n
	}
	return words, nil
}

func letter(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// comment is the length of a block comment; they nest.
func comment(q string) int {
	depth := 0
	for i := 0; i+1 < len(q); {
		switch q[i : i+2] {
		case "/*":
			depth++
			i += 2
		case "*/":
			depth--
			i += 2
			if depth == 0 {
				return i
			}
		default:
			i++
		}
	}
	return -1
}

// quoted is the length of a text or quoted name, in which the quote is doubled, or escaped by a backslash.
func quoted(q string, quote byte, backslash bool) int {
	for i := 1; i < len(q); i++ {
		switch {
		case backslash && q[i] == '\\':
			i++
		case q[i] == quote && i+1 < len(q) && q[i+1] == quote:
			i++
		case q[i] == quote:
			return i + 1
		}
	}
	return -1
}

var dollarTag = regexp.MustCompile(`^\$([A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$`)

// dollar is the length of a text between $tag$ and $tag$, or 1 for the $ of a parameter.
func dollar(q string) int {
	tag := dollarTag.FindString(q)
	if tag == "" {
		return 1
	}
	end := strings.Index(q[len(tag):], tag)
	if end < 0 {
		return -1
	}
	return end + 2*len(tag)
}

func excerpt(q string) string {
	if q = strings.Join(strings.Fields(q), " "); len(q) > 60 {
		return q[:60] + "..."
	}
	return q
}
