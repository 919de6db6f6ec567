package event

import (
	"go/ast"
	goparser "go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/composerp/composerp/deploy/golden"
)

// TestGoldenSchemas compares the schema files with the structs and their doc comments. With -update it writes them.
func TestGoldenSchemas(t *testing.T) {
	t.Parallel()
	texts := docComments(t)
	golden.Compare(t, "schema/"+envelopeFile, makeEnvelopeSchema(texts))
	for _, e := range builtIn {
		golden.Compare(t, "schema/"+e.schemaFile(), payloadSchema(e.Type, e.Version, e.codec.object, texts))
	}
}

// definitions are the "$defs" of the envelope's schema, which all schemas refer to.
var definitions = members{
	{"id", members{
		{"type", "string"}, {"minLength", 1}, {"maxLength", maxID}, {"format", "opaque-id"},
		{"description", "An opaque id: 1 to 64 bytes of UTF-8 without control characters."},
	}},
	{"name", plainText(longestTexts["name"], "name")},
	{"note", plainText(longestTexts["note"], "text")},
	{"decimal", members{
		{"type", "number"}, {"format", "decimal"},
		{"description", "An exact number of at most 15 integer and 6 fractional digits. Read it as a decimal, not as a binary float."},
	}},
	{"timestamp", members{
		{"type", "string"}, {"format", "date-time"},
		{"description", "An RFC 3339 time with its offset; kept to the microsecond."},
	}},
	{"date", members{{"type", "string"}, {"format", "date"}, {"description", "A calendar day, 2026-03-09."}}},
}

func plainText(length int, what string) members {
	return members{
		{"type", "string"}, {"minLength", 1}, {"maxLength", length}, {"format", "plain-text"},
		{"description", "A " + what + " of 1 to " + strconv.Itoa(length) +
			" characters without control characters other than tab and line feed."},
	}
}

// makeEnvelopeSchema returns the JSON Schema of the envelope, whose payload is any object.
func makeEnvelopeSchema(texts descriptions) string {
	s := members{{"$schema", dialect}, {"title", "Event envelope, version 1.0"}}
	s = append(s, described(texts["Envelope"])...)
	for _, m := range envelopeObject.schema("", texts) {
		switch inner := m.value.(type) {
		case []string:
			m.value = append(inner, "payload")
		case members:
			m.value = slices.Insert(inner, len(inner)-1, member{"payload", members{{"type", "object"}}})
		}
		s = append(s, m)
	}
	s = append(s, member{"$defs", definitions})
	return string(append(appendValue(nil, s, ""), '\n'))
}

// docComments returns the descriptions in the doc comments of this package's structs. A field's comment is its
// description; a struct's description is the first paragraph of its comment, without the leading "SaleCompleted is" or
// "RuleChanged reports that".
func docComments(t *testing.T) descriptions {
	t.Helper()
	texts := descriptions{}
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		file, err := goparser.ParseFile(token.NewFileSet(), name, nil, goparser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			decl, ok := d.(*ast.GenDecl)
			if !ok || decl.Tok != token.TYPE || len(decl.Specs) != 1 {
				continue
			}
			spec := decl.Specs[0].(*ast.TypeSpec)
			fields, ok := spec.Type.(*ast.StructType)
			if !ok {
				continue
			}
			texts[spec.Name.Name] = structText(spec.Name.Name, decl.Doc.Text())
			for _, f := range fields.Fields.List {
				for _, fieldName := range f.Names {
					texts[spec.Name.Name+"."+fieldName.Name] = oneLine(f.Doc.Text())
				}
			}
		}
	}
	return texts
}

func structText(name, doc string) string {
	doc, _, _ = strings.Cut(doc, "\n\n")
	text := oneLine(doc)
	for _, words := range []string{" is ", " reports that "} {
		if rest, ok := strings.CutPrefix(text, name+words); ok {
			first, size := utf8.DecodeRuneInString(rest)
			return string(unicode.ToUpper(first)) + rest[size:]
		}
	}
	return text
}

func oneLine(doc string) string { return strings.Join(strings.Fields(doc), " ") }
