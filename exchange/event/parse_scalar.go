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
	var r rune
	for _, c := range []byte(p.s[at+2 : at+6]) {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// number reads a number and returns its text. It bounds the length and the exponent, because the schema library would
// compute 1e999999999 in full.
func (p *parser) number(index int32) string {
	start := p.i
	if p.s[p.i] == '-' {
		p.i++
	}
	whole := p.digits()
	ok := whole > 0 && (whole == 1 || p.s[p.i-whole] != '0')
	if ok && p.at('.') {
		p.i++
		ok = p.digits() > 0
	}
	exponent := ""
	if ok && (p.at('e') || p.at('E')) {
		p.i++
		from := p.i
		if p.at('+') || p.at('-') {
			p.i++
		}
		ok = p.digits() > 0
		exponent = p.s[from:p.i]
	}
	if !ok {
		wrong := p.s[start:min(p.i+1, len(p.s))]
		p.i = start
		p.fail("not a number as JSON writes it: %s", quote(wrong))
		return ""
	}
	text := p.s[start:p.i]
	if len(text) > maxNumberLength || !bounded(exponent) {
		p.err = &FieldError{Field: p.doc.path(index), Problem: "the number " + shorten(text) + " is out of bounds"}
	}
	return text
}

// bounded reports whether an exponent is within bounds.
func bounded(exponent string) bool {
	if exponent == "" {
		return true
	}
	n, err := strconv.ParseInt(exponent, 10, 32)
	return err == nil && -maxExponent <= n && n <= maxExponent
}

// digits moves past digits and returns their number.
func (p *parser) digits() int {
	start := p.i
	for p.i < len(p.s) && '0' <= p.s[p.i] && p.s[p.i] <= '9' {
		p.i++
	}
	return p.i - start
}

// at reports whether c is the next byte.
func (p *parser) at(c byte) bool { return p.i < len(p.s) && p.s[p.i] == c }
