// Package words finds the words that this repository no longer uses, and comment lines that are too long. `make words`
// prints what it finds, and its test fails when more lines than its limit have some.
//
// A phrase is found in prose and in names alike: "set aside" also in setAside, SetAside, set_aside and set-aside, and
// across the end of a comment's line. A name of list.go is found in Go code alone, as it is written there: the method
// Holds is retired, the verb is not.
package words

import (
	"bytes"
	"go/scanner"
	"go/token"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/composerp/composerp/deploy/tools/tree"
)

// MaxComment is how many characters a line that holds a comment may have.
const MaxComment = 120

// Finding is a retired word.
type Finding struct {
	Path string
	Line int
	Word string // as the list has it
	Use  string // what to write instead
}

// Checked reports whether a file of that path is held to the words: sources, docs, help texts and what configures or
// builds the program.
func Checked(name string) bool {
	switch path.Ext(name) {
	case ".go", ".md", ".sql", ".sh", ".yml", ".yaml", ".txt", ".conf", ".service", ".env":
		return path.Base(name) != "LICENSE"
	}
	return path.Base(name) == "Makefile" || path.Base(name) == "Dockerfile" || name == ".ci/run"
}

// Check finds the retired words of one file, but for those that it is allowed.
func Check(file tree.File) []Finding {
	text := file.Text
	if path.Ext(file.Path) == ".sql" {
		text = commentsOfSQL(text) // the names of tables and columns are the schema's own
	}
	found := phrasesIn(text)
	if path.Ext(file.Path) == ".go" {
		found = append(found, namesIn(text)...)
	}
	found = slices.DeleteFunc(found, func(f Finding) bool { return excepted(file.Path, f.Word) })
	for i := range found {
		found[i].Path = file.Path
	}
	slices.SortStableFunc(found, func(a, b Finding) int { return a.Line - b.Line })
	return found
}

// word is a run of letters, split where a name changes from lower to upper case: "setAside" has two.
type word struct {
	lower      string
	start, end int
}

func split(text []byte) []word {
	var words []word
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if !unicode.IsLetter(r) {
			i += size
			continue
		}
		start := i
		upper := 0 // how many upper-case letters the word begins with
		for i < len(text) {
			r, size := utf8.DecodeRune(text[i:])
			if !unicode.IsLetter(r) {
				break
			}
			if unicode.IsUpper(r) {
				if i > start && upper*size != i-start { // a lower-case letter came before
					break
				}
				upper++
			} else if upper > 1 && upper == i-start { // HTTPServer: the last capital begins the next word
				i--
				break
			}
			i += size
		}
		words = append(words, word{strings.ToLower(string(text[start:i])), start, i})
	}
	return words
}

func phrasesIn(text []byte) []Finding {
	words := split(text)
	covered := make([]bool, len(words)) // by an honest use
	each(text, words, honest, func(at, n int, _ phrase) {
		for i := range n {
			covered[at+i] = true
		}
	})
	var found []Finding
	line, counted := 1, 0
	each(text, words, retired, func(at, _ int, p phrase) {
		if covered[at] {
			return
		}
		line += bytes.Count(text[counted:words[at].start], []byte{'\n'})
		counted = words[at].start
		found = append(found, Finding{Line: line, Word: p.text, Use: p.use})
	})
	return found
}

// each calls do for every phrase that begins at a word, with the index of that word and how many words the phrase has.
func each(text []byte, words []word, phrases map[string][]phrase, do func(at, n int, p phrase)) {
	for at, first := range words {
		for _, p := range phrases[first.lower] {
			if begins(text, words[at:], p) {
				do(at, len(p.words), p)
			}
		}
	}
}

func begins(text []byte, words []word, p phrase) bool {
	if len(words) < len(p.words) {
		return false
	}
	for i, want := range p.words {
		if words[i].lower != want {
			return false
		}
		if i == 0 {
			continue
		}
		gap := text[words[i-1].end:words[i].start]
		if p.hyphen && string(gap) != "-" || !joined(gap) {
			return false
		}
	}
	return true
}

// joined reports whether two words with gap between them can belong to one phrase: blanks, a hyphen, an underscore, the
// end of a line with the sign of a comment behind it.
func joined(gap []byte) bool {
	before, after, broken := bytes.Cut(gap, []byte{'\n'})
	if !broken {
		return len(bytes.Trim(gap, " \t_-")) == 0
	}
	return len(bytes.TrimSpace(before)) == 0 && len(bytes.Trim(after, " \t/#*-")) == 0
}

// namesIn finds the identifiers of Go code that are retired as they are written.
func namesIn(text []byte) []Finding {
	var found []Finding
	eachToken(text, 0, func(line int, tok token.Token, literal string) {
		if use, ok := names[literal]; ok && tok == token.IDENT {
			found = append(found, Finding{Line: line, Word: literal, Use: use})
		}
	})
	return found
}

func eachToken(text []byte, mode scanner.Mode, do func(line int, tok token.Token, literal string)) {
	files := token.NewFileSet()
	file := files.AddFile("", -1, len(text))
	var s scanner.Scanner
	s.Init(file, text, func(token.Position, string) {}, mode) // what does not parse is the compiler's to say
	for {
		pos, tok, literal := s.Scan()
		if tok == token.EOF {
			return
		}
		do(file.Line(pos), tok, literal)
	}
}

// commentsOfSQL blanks what is no comment, so that lines keep their numbers.
func commentsOfSQL(text []byte) []byte {
	var kept bytes.Buffer
	for line := range bytes.Lines(text) {
		if _, comment, ok := bytes.Cut(line, []byte("--")); ok {
			kept.Write(comment)
		} else {
			kept.WriteByte('\n')
		}
	}
	return kept.Bytes()
}

// LongComments gives the numbers of the lines of Go code that hold a comment and have more than MaxComment characters.
func LongComments(file tree.File) []int {
	if path.Ext(file.Path) != ".go" {
		return nil
	}
	lines := bytes.Split(file.Text, []byte{'\n'})
	var long []int
	eachToken(file.Text, scanner.ScanComments, func(first int, tok token.Token, literal string) {
		if tok != token.COMMENT || strings.HasPrefix(literal, "//go:") {
			return
		}
		for line := first; line <= first+strings.Count(literal, "\n"); line++ {
			if utf8.RuneCount(bytes.TrimRight(lines[line-1], "\r")) > MaxComment {
				long = append(long, line)
			}
		}
	})
	return long
}

// Lines counts the lines that hold a finding, by folder: the first two names of the path.
func Lines(found []Finding) (byFolder map[string]int, all int) {
	byFolder = map[string]int{}
	seen := map[Finding]bool{}
	for _, f := range found {
		place := Finding{Path: f.Path, Line: f.Line}
		if seen[place] {
			continue
		}
		seen[place] = true
		all++
		byFolder[folder(f.Path)]++
	}
	return byFolder, all
}

func folder(name string) string {
	parts := strings.Split(path.Dir(name), "/")
	return strings.Join(parts[:min(2, len(parts))], "/")
}
