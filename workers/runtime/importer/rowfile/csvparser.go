package rowfile

import "bytes"

// csvVerdict is what came of trying to read a row.
type csvVerdict int

const (
	csvRow      csvVerdict = iota // a row; or, of 0 bytes, the end
	csvMore                       // the row's end is not in sight yet
	csvUnclosed                   // the file ends inside a quoted field
	csvGarbage                    // something stands between a closing quote and the delimiter
)

// csvParser takes rows apart. It keeps the fields of the last row in one piece of memory, so that a row costs two
// allocations however many fields it has.
type csvParser struct {
	delimiter byte
	text      []byte // the fields' contents one behind the other
	ends      []int  // where in text each ends
	quoted    bool   // whether any field was
}

// parse reads one row from the beginning of b and gives how many bytes it takes, its line end among them. ended says
// that nothing follows b.
func (p *csvParser) parse(b []byte, ended bool) (int, csvVerdict) {
	p.text, p.ends, p.quoted = p.text[:0], p.ends[:0], false
	i := 0
	for {
		var result csvVerdict
		if i < len(b) && b[i] == '"' {
			i, result = p.quotedField(b, i+1, ended)
		} else {
			i, result = p.plainField(b, i, ended)
		}
		if result != csvRow {
			return 0, result
		}
		p.ends = append(p.ends, len(p.text))
		switch {
		case i == len(b):
			if !ended {
				return 0, csvMore
			}
			return i, csvRow
		case b[i] == p.delimiter:
			i++
		case b[i] == '\n':
			return i + 1, csvRow
		case b[i] == '\r' && i+1 < len(b) && b[i+1] == '\n':
			return i + 2, csvRow
		case b[i] == '\r' && i+1 == len(b) && !ended:
			return 0, csvMore
		case b[i] == '\r' && i+1 == len(b):
			return i + 1, csvRow
		default:
			return 0, csvGarbage
		}
	}
}

// plainField reads a field without quotes that begins at i, and gives the place of what ends it.
func (p *csvParser) plainField(b []byte, i int, ended bool) (int, csvVerdict) {
	end := i
	for end < len(b) && b[end] != p.delimiter && b[end] != '\n' {
		end++
	}
	if end == len(b) && !ended {
		return 0, csvMore
	}
	field := b[i:end]
	if end == len(b) || b[end] == '\n' {
		field = bytes.TrimSuffix(field, []byte{'\r'})
	}
	p.text = append(p.text, field...)
	return end, csvRow
}

// quotedField reads a field whose opening quote stands before i, and gives the place behind its closing quote.
func (p *csvParser) quotedField(b []byte, i int, ended bool) (int, csvVerdict) {
	p.quoted = true
	start := len(p.text)
	for {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			if ended {
				return 0, csvUnclosed
			}
			return 0, csvMore
		}
		p.text = append(p.text, b[i:i+n]...)
		i += n + 1
		if i == len(b) && !ended {
			return 0, csvMore
		}
		if i == len(b) || b[i] != '"' {
			break
		}
		p.text = append(p.text, '"')
		i++
	}
	if bytes.IndexByte(p.text[start:], '\r') >= 0 {
		// A line break inside a field is the same break whether the file has CRLF or LF.
		p.text = append(p.text[:start], bytes.ReplaceAll(p.text[start:], []byte("\r\n"), []byte("\n"))...)
	}
	return i, csvRow
}

// blank says that the row was an empty line, or delimiters alone as Excel writes below a table: it is no row.
func (p *csvParser) blank() bool { return len(p.text) == 0 && !p.quoted }

// values appends the row's fields to v.
func (p *csvParser) values(v []string) []string {
	text, start := string(p.text), 0
	for _, end := range p.ends {
		v = append(v, text[start:end])
		start = end
	}
	return v
}
