package failures

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// Two errors are the same when they differ only in names: quoted text, and every word with a digit in it, as numbers,
// times, UUIDs, hashes, addresses and most ids have. Only the first line counts: a stack after it has addresses and
// goroutines in it.
var (
	quoted  = regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"|`[^`]*`|\u201c[^\u201d]*\u201d|\u00ab[^\u00bb]*\u00bb")
	ticked  = regexp.MustCompile(`(^|[^\pL\pN])'[^']*'`) // not an apostrophe within a word
	named   = regexp.MustCompile(`[\pL\pN_]*\pN[\pL\pN_]*`)
	chained = regexp.MustCompile(`#(?:[-+.,:/#]+#)+`) // 2026-02-09T12:00:00.5Z, 127.0.0.1:5432, 1-2
	before  = regexp.MustCompile(`\pL*[-+]#`)         // -3, o-1, sale-7
)

// maxNormal is how many bytes of an error are compared.
const maxNormal = 2000

// Normalize returns an error's text without the names in it, so that errors of one cause are equal.
func Normalize(text string) string {
	text, _, _ = strings.Cut(strings.TrimSpace(strings.ToValidUTF8(text, "")), "\n")
	if len(text) > maxNormal {
		text = strings.ToValidUTF8(text[:maxNormal], "")
	}
	text = quoted.ReplaceAllString(text, "#")
	text = ticked.ReplaceAllString(text, "$1#")
	text = named.ReplaceAllString(text, "#")
	text = chained.ReplaceAllString(text, "#")
	text = before.ReplaceAllString(text, "#")
	return strings.Join(strings.Fields(text), " ")
}

// Fingerprint is a hash of Normalize: 16 hexadecimal digits, and "" for no text.
func Fingerprint(text string) string {
	normal := Normalize(text)
	if normal == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(normal))
	return hex.EncodeToString(sum[:8])
}
