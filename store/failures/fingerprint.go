package failures

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// Two errors are one when they differ only in whom they speak of. What names
// somebody is folded: what stands in quotes, and every word that has a digit in
// it, which numbers, times, UUIDs, hashes, addresses and most ids have. Only the
// first line counts: what follows it, a stack, has addresses and goroutines in it.
var (
	quoted  = regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"|`[^`]*`|\u201c[^\u201d]*\u201d|\u00ab[^\u00bb]*\u00bb")
	ticked  = regexp.MustCompile(`(^|[^\pL\pN])'[^']*'`) // and no apostrophe within a word
	named   = regexp.MustCompile(`[\pL\pN_]*\pN[\pL\pN_]*`)
	chained = regexp.MustCompile(`#(?:[-+.,:/#]+#)+`) // 2026-02-09T12:00:00.5Z, 127.0.0.1:5432, 1-2
	before  = regexp.MustCompile(`\pL*[-+]#`)         // -3, o-1, sale-7
)

// maxNormal bounds what of an error is told apart, in bytes.
const maxNormal = 2000

// Normal is an error's text without what tells one case from another of its kind.
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

// Fingerprint is the same for errors that are one by Normal: 16 hexadecimal
// digits, and "" for no text.
func Fingerprint(text string) string {
	normal := Normalize(text)
	if normal == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(normal))
	return hex.EncodeToString(sum[:8])
}
