package event

import (
	"strconv"
	"strings"
)

// numeral is a number's digits without leading zeros, and how many of them come after the decimal point, without
// trailing zeros there. The digits are in an array, so that reading a number allocates nothing.
type numeral struct {
	negative bool
	fraction int
	start    int
	end      int
	buffer   [maxNumberLength + maxIntegerDigits]byte
}

func (n *numeral) digits() []byte { return n.buffer[n.start:n.end] }

// read parses a number in JSON's notation. It returns a problem when s is not a number or has more digits than a
// Decimal may have. It computes nothing from an exponent before it has checked its size.
func (n *numeral) read(s string) string {
	if len(s) > maxNumberLength {
		return tooManyDigits + quote(s)
	}
	parts, ok := splitNumber(s)
	if !ok || parts.length < len(s) {
		return "want a number, got " + quote(s)
	}
	exponent, ok := parts.power()
	if !ok {
		return tooManyDigits + s
	}
	n.negative = s[0] == '-'
	n.end = copy(n.buffer[:], parts.whole)
	n.end += copy(n.buffer[n.end:], parts.fraction)
	n.fraction = len(parts.fraction)
	if !n.shift(exponent) {
		return tooManyDigits + s
	}
	return ""
}

// shift moves the decimal point by an exponent and drops redundant zeros. It returns false when the result does not
// fit a Decimal.
func (n *numeral) shift(exponent int) bool {
	for n.start < n.end && n.buffer[n.start] == '0' {
		n.start++
	}
	if n.start == n.end {
		n.fraction = 0
		return true
	}
	for n.fraction -= exponent; n.fraction > 0 && n.buffer[n.end-1] == '0'; n.fraction-- {
		n.end--
	}
	if n.fraction > maxFractionalDigits || n.end-n.start-n.fraction > maxIntegerDigits {
		return false
	}
	for ; n.fraction < 0; n.fraction++ {
		n.buffer[n.end] = '0'
		n.end++
	}
	return true
}

// numberParts are the digits of a number in JSON's notation.
type numberParts struct {
	whole, fraction string
	exponent        string // with its sign
	length          int    // of all that was read
}

// splitNumber splits the number at the beginning of s. When there is none, length is how far one could be read.
func splitNumber(s string) (n numberParts, ok bool) {
	skip := func(any string) bool {
		there := n.length < len(s) && strings.IndexByte(any, s[n.length]) >= 0
		if there {
			n.length++
		}
		return there
	}
	digits := func() string {
		start := n.length
		for n.length < len(s) && '0' <= s[n.length] && s[n.length] <= '9' {
			n.length++
		}
		return s[start:n.length]
	}
	skip("-")
	n.whole = digits()
	ok = n.whole != "" && (len(n.whole) == 1 || n.whole[0] != '0')
	if ok && skip(".") {
		n.fraction = digits()
		ok = n.fraction != ""
	}
	if ok && skip("eE") {
		start := n.length
		skip("+-")
		ok = digits() != ""
		n.exponent = s[start:n.length]
	}
	return n, ok
}

// power is the exponent's value, 0 without one. ok is false when it is out of bounds.
func (n numberParts) power() (value int, ok bool) {
	if n.exponent == "" {
		return 0, true
	}
	value, err := strconv.Atoi(n.exponent)
	return value, err == nil && -maxExponent <= value && value <= maxExponent
}
