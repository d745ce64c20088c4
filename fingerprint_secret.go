package bellhop

import "strings"

// secretMark stands in a pattern for what looks like a secret.
const secretMark = "<secret>"

// secretParts are parts of names whose values a pattern leaves out: all that are hidden where errors are shown, and some
// more, since a value that varies says nothing about the group.
var secretParts = []string{
	"pass", "pwd", "secret", "credential", "key", "auth", "token", "cookie", "bearer", "session", "connection", "card", "security", "onetime", "one_time",
	"one-time", "otp", "cvv", "cvc", "jwt", "dsn", "ssn", "csrf", "xsrf", "pem", "pin",
}

// secretHeaders are headers whose whole value is left out.
var secretHeaders = []string{"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key"}

// secret leaves out what looks like a secret, so that a pattern's hash does not tell it to whoever tries all words: the value in password=…, the
// rest of the line behind "Authorization:", the token behind "Bearer", the user and password of a URL.
func (p *patternReader) secret() bool {
	switch p.rest[0] {
	case '=':
		if name := p.nameBefore(); name == "" || !hasPart(name) {
			return false
		}
		p.keep(1)
		p.leaveOut(valueLen(p.rest))
	case ':':
		if end := userinfoLen(p.rest); end > 0 {
			p.keep(len("://"))
			p.leaveOut(end)
			return true
		}
		name := p.nameBefore()
		if !isOneOf(name, secretHeaders) {
			return false
		}
		p.keep(1)
		if value := strings.TrimLeft(p.rest, " \t"); len(value) < len(p.rest) {
			p.put(" ", len(p.rest)-len(value))
		}
		line, _, _ := strings.Cut(p.rest, "\n")
		p.leaveOut(len(line))
	case ' ':
		if !isOneOf(p.nameBefore(), []string{"bearer", "basic"}) {
			return false
		}
		n := 1
		for n < len(p.rest) && isTokenByte(p.rest[n]) {
			n++
		}
		if n <= 8 {
			return false
		}
		p.keep(1)
		p.leaveOut(n - 1)
	default:
		return false
	}
	return true
}

// leaveOut puts the mark in place of the next n bytes, unless an earlier pattern has.
func (p *patternReader) leaveOut(n int) {
	switch {
	case strings.HasPrefix(p.rest, secretMark):
		p.keep(len(secretMark))
	case n > 0:
		p.put(secretMark, n)
	}
}

// nameBefore returns the name that ends where the reader is, in small letters.
func (p *patternReader) nameBefore() string {
	end := len(p.whole) - len(p.rest)
	from := end
	for from > 0 && (isWord(p.whole[from-1]) || p.whole[from-1] == '-' || p.whole[from-1] == '.') {
		from--
	}
	return strings.ToLower(p.whole[from:end])
}

func hasPart(name string) bool {
	for _, part := range secretParts {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

func isOneOf(name string, list []string) bool {
	for _, one := range list {
		if name == one {
			return true
		}
	}
	return false
}

// valueLen returns how much of a text's beginning is the value behind a "=".
func valueLen(text string) int {
	if text != "" && (text[0] == '"' || text[0] == '\'') {
		if end := strings.IndexAny(text[1:], text[:1]+"\n"); end >= 0 && text[1+end] == text[0] {
			return end + 2
		}
	}
	if end := strings.IndexAny(text, " \t\r\n&;,\"'])}"); end >= 0 {
		return end
	}
	return len(text)
}

// userinfoLen returns the length of user and password in a text that begins with "://user:password@"; 0 if it does not.
func userinfoLen(text string) int {
	rest, ok := strings.CutPrefix(text, "://")
	if !ok {
		return 0
	}
	host := strings.IndexAny(rest, "/ \t\r\n")
	if host < 0 {
		host = len(rest)
	}
	at := strings.LastIndexByte(rest[:host], '@')
	if colon := strings.IndexByte(rest[:max(at, 0)], ':'); colon < 0 {
		return 0
	}
	return at
}

func isTokenByte(c byte) bool {
	return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'z' || strings.IndexByte("._~+/=-", c) >= 0
}
