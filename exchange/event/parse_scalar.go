package event

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// string reads a string and returns its content, which is a part of the text when it has no escapes.
func (p *parser) string() string {
	text, start := p.s, p.i+1
	for i := start; i < len(text); i++ {
		c := text[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		p.i = i
		switch c {
		case '"':
			p.i++
			return text[start:i]
		case '\\':
			return p.escaped(start)
		default:
			p.fail("a control character (%#02x) in a string must be escaped", c)
			return ""
		}
	}
	p.i = len(text)
	p.fail("the text ends in the middle of a string")
	return ""
}

// escaped reads the rest of a string from its first escape on, and returns its content.
func (p *parser) escaped(start int) string {
	content := append(make([]byte, 0, p.i-start+64), p.s[start:p.i]...)
	for p.i < len(p.s) {
		switch c := p.s[p.i]; {
		case c == '"':
			p.i++
			return string(content)
		case c == '\\':
			r := p.escape()
			if p.err != nil {
				return ""
			}
			content = utf8.AppendRune(content, r)
		case c < ' ':
			p.fail("a control character (%#02x) in a string must be escaped", c)
			return ""
		default:
			content = append(content, c)
			p.i++
		}
	}
	p.fail("the text ends in the middle of a string")
	return ""
}

// simpleEscapes are the escapes of one character.
var simpleEscapes = map[byte]rune{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

// escape reads one escape, a surrogate pair as one.
func (p *parser) escape() rune {
	if p.i+1 >= len(p.s) {
		p.fail("the text ends in the middle of a string")
		return 0
	}
	if r, ok := simpleEscapes[p.s[p.i+1]]; ok {
		p.i += 2
		return r
	}
	r, ok := p.unit(p.i)
	if !ok {
		p.fail("no such escape in a string")
		return 0
	}
	if !utf16.IsSurrogate(r) {
		p.i += 6
		return r
	}
	second, ok := p.unit(p.i + 6)
	if r = utf16.DecodeRune(r, second); !ok || r == utf8.RuneError {
		p.fail("half of a surrogate pair in a string")
		return 0
	}
	p.i += 12
	return r
}

// unit reads the \uXXXX at an offset.
func (p *parser) unit(at int) (rune, bool) {
	if at+6 > len(p.s) || p.s[at] != '\\' || p.s[at+1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(p.s[at+2:at+6], 16, 16)
	return rune(unit), err == nil
}

// number reads a number and returns its text. It bounds the length and the exponent, because the schema library would
// compute 1e999999999 in full.
func (p *parser) number(index int32) string {
	start := p.i
	n, ok := splitNumber(p.s[start:])
	if !ok {
		p.fail("not a number as JSON writes it: %s", quote(p.s[start:min(start+n.length+1, len(p.s))]))
		return ""
	}
	p.i += n.length
	text := p.s[start:p.i]
	if _, ok := n.power(); !ok || len(text) > maxNumberLength {
		p.err = &FieldError{Field: p.doc.path(index), Problem: "the number " + shorten(text) + " is out of bounds"}
	}
	return text
}
