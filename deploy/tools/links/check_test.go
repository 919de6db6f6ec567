package links

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/composerp/composerp/deploy/tools/tree"
)

// Problem is a link that leads nowhere.
type Problem struct {
	Path   string
	Line   int
	Target string
	Reason string
}

func (p Problem) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", p.Path, p.Line, p.Target, p.Reason)
}

var (
	// inline is [text](target), ![text](target) and either with a title behind the target.
	inline = regexp.MustCompile(`\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)`)
	// reference is [label]: target, on a line of its own.
	reference = regexp.MustCompile(`^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)>?`)
	attribute = regexp.MustCompile(`(?:src|href)="([^"]+)"`)
	anchor    = regexp.MustCompile(`(?:id|name)="([^"]+)"`)
	heading   = regexp.MustCompile(`^ {0,3}#{1,6}\s+(.*?)\s*#*\s*$`)
	fence     = regexp.MustCompile("^ {0,3}(```+|~~~+)")
	code      = regexp.MustCompile("`+[^`]*`+")
	linkText  = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
	setext    = regexp.MustCompile(`^ {0,3}(=+|-+)\s*$`)
	scheme    = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*:`)
)

// Check gives the links of documents that lead nowhere. The repository is where they can lead to.
func Check(documents []tree.File, repository fs.FS) []Problem {
	anchors := map[string][]string{}
	for _, d := range documents {
		anchors[d.Path] = Anchors(d.Text)
	}
	var problems []Problem
	for _, d := range documents {
		eachLine(d.Text, func(number int, line string) {
			for _, target := range targets(line) {
				if reason := broken(d.Path, target, anchors, repository); reason != "" {
					problems = append(problems, Problem{d.Path, number, target, reason})
				}
			}
		})
	}
	return problems
}

func targets(line string) []string {
	line = code.ReplaceAllString(line, "")
	var found []string
	for _, pattern := range []*regexp.Regexp{inline, reference, attribute} {
		for _, match := range pattern.FindAllStringSubmatch(line, -1) {
			found = append(found, match[1])
		}
	}
	return found
}

// broken says why a link in the document from leads nowhere; "" when it leads somewhere, or to another site.
func broken(from, target string, anchors map[string][]string, repository fs.FS) string {
	if scheme.MatchString(target) || strings.HasPrefix(target, "//") {
		return ""
	}
	escaped, fragment, _ := strings.Cut(target, "#")
	name, err := url.PathUnescape(escaped)
	if err != nil {
		return err.Error()
	}
	to := from
	switch {
	case strings.HasPrefix(name, "/"):
		to = strings.TrimPrefix(path.Clean(name), "/")
	case name != "":
		to = path.Join(path.Dir(from), name)
	}
	if !fs.ValidPath(to) {
		return "leads out of the repository"
	}
	if _, err := fs.Stat(repository, to); err != nil {
		return "there is no such file"
	}
	if fragment == "" || path.Ext(to) != ".md" {
		return ""
	}
	if !slices.Contains(anchors[to], fragment) {
		return "there is no such heading in " + to
	}
	return ""
}

// Anchors gives what a link to a place in the document can name: its headings, as code hosts write them, and the ids of
// its HTML.
func Anchors(document []byte) []string {
	var all []string
	seen := map[string]int{}
	add := func(text string) {
		slug := slugOf(text)
		n := seen[slug]
		seen[slug]++
		if n > 0 {
			slug = fmt.Sprintf("%s-%d", slug, n)
		}
		all = append(all, slug)
	}
	before := ""
	eachLine(document, func(_ int, line string) {
		switch match := heading.FindStringSubmatch(line); {
		case match != nil:
			add(match[1])
		case setext.MatchString(line) && strings.TrimSpace(before) != "" && !strings.HasPrefix(strings.TrimSpace(before), "|"):
			add(before)
		}
		for _, match := range anchor.FindAllStringSubmatch(line, -1) {
			all = append(all, match[1])
		}
		before = line
	})
	return all
}

// slugOf is a heading as the end of a link: lower case, blanks as hyphens, without marks.
func slugOf(text string) string {
	text = linkText.ReplaceAllString(text, "$1")
	var slug strings.Builder
	for _, r := range strings.ToLower(strings.TrimSpace(text)) {
		switch {
		case r == ' ':
			slug.WriteByte('-')
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			slug.WriteRune(r)
		}
	}
	return slug.String()
}

// eachLine calls do for every line of a document that is not in a block of code.
func eachLine(document []byte, do func(number int, line string)) {
	closing := ""
	number := 0
	for raw := range bytes.Lines(document) {
		number++
		line := strings.TrimRight(string(raw), "\r\n")
		match := fence.FindStringSubmatch(line)
		switch {
		case closing == "" && match != nil:
			closing = match[1]
		case closing != "" && match != nil && strings.HasPrefix(match[1], closing):
			closing = ""
		case closing == "":
			do(number, line)
		}
	}
}
