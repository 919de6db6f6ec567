package rowfile

import (
	"slices"
	"strings"

	"github.com/composerp/composerp/exchange/plaintext"
)

// Format is how a file is written, as far as the file does not say so itself. Its zero value is right for most.
type Format struct {
	// Delimiter of CSV; 0: the one of , ; tab | with which the header has the wanted columns.
	Delimiter byte
	// Columns are the names of the columns of a file without a header line; nil: the first line has them.
	Columns []string
	// Encoding of a text that has no byte order mark; empty: UTF-8. See IsEncoding.
	Encoding string
	// Sheet of a workbook; empty: its first.
	Sheet   string
	Numbers Numbers
}

// delimiters are tried in this order.
const delimiters = ",;\t|"

// IsDelimiter says whether a text can stand between the fields of CSV.
func IsDelimiter(text string) bool {
	return len(text) == 1 && !strings.ContainsAny(text, "\"\r\n") && '\t' <= text[0] && text[0] <= '~'
}

// IsEncoding says whether a text is the name of an encoding that a Format may have.
func IsEncoding(text string) bool {
	return text == string(plaintext.UTF8) || text == string(plaintext.Windows1252)
}

// Found is what a file has turned out to be.
type Found struct {
	Kind      string   `json:"kind"`               // csv, ndjson or xlsx
	Packed    bool     `json:"packed,omitzero"`    // by gzip
	Encoding  string   `json:"encoding,omitzero"`  // of text
	LineEnds  string   `json:"lineEnds,omitzero"`  // "CR" where they are returns alone
	Delimiter string   `json:"delimiter,omitzero"` // of CSV
	Sheet     string   `json:"sheet,omitzero"`     // of a workbook
	Header    []string `json:"-"`
}

// CheckColumns holds the names of the columns of a file without a header line.
func CheckColumns(columns []string) bool {
	return len(columns) > 0 && checkHeader(columns) == nil && !slices.Contains(columns, "")
}
