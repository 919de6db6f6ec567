package event

import "strconv"

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
	i := 0
	if i < len(s) && s[i] == '-' {
		n.negative = true
		i++
	}
	from := i
	i = n.take(s, i)
	ok := i > from && (i == from+1 || s[from] != '0')
	if ok && i < len(s) && s[i] == '.' {
		from = i + 1
		i = n.take(s, from)
		n.fraction = i - from
		ok = n.fraction > 0
	}
	exponent := 0
	if ok && i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		from, i = i+1, len(s)
		ok = plainExponent(s[from:])
		if ok && !bounded(s[from:]) {
			return tooManyDigits + s
		}
		exponent, _ = strconv.Atoi(s[from:])
	}
	if !ok || i != len(s) {
		return "want a number, got " + quote(s)
	}
	if !n.shift(exponent) {
		return tooManyDigits + s
	}
	return ""
}

// take copies the digits that begin at s[i], and returns the index after them.
func (n *numeral) take(s string, i int) int {
	for i < len(s) && '0' <= s[i] && s[i] <= '9' {
		n.buffer[n.end] = s[i]
		n.end++
		i++
	}
	return i
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

// plainExponent reports whether s can follow the e of a number: digits, with an optional sign before them.
func plainExponent(s string) bool {
	if s != "" && (s[0] == '+' || s[0] == '-') {
		s = s[1:]
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
