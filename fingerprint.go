package bellhop

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

const (
	fingerprintSize = 16   // hexadecimal digits
	patternInput    = 1024 // bytes of a message that count
	patternSize     = 256  // bytes of a pattern
)

// Fingerprint names the group of a failure: 16 hexadecimal digits that are the same
// for failures of one kind of job, one class, and messages that differ in their
// variable parts alone ([FailurePattern]). Without a failure it is empty.
func Fingerprint(kind string, f *Failure) string {
	if f == nil {
		return ""
	}
	sum := sha256.Sum256([]byte(kind + "\x00" + f.Class + "\x00" + FailurePattern(f.Message)))
	return hex.EncodeToString(sum[:fingerprintSize/2])
}

// FailurePattern returns a failure's message without the parts that vary from one
// time to the next, for people and for [Fingerprint]. In their place stand
//
//	<n>     a number, also before a unit, at the end of a word and in a path: "after <n>ms", "job-<n>", "/users/<n>"
//	<id>    a UUID, or a word in which letters and digits mix, also between the slashes of a path
//	<hex>   0x…, or eight hexadecimal digits and more
//	<addr>  an IP address with or without a port, or a mail address
//	<time>  a date, a time of day, or both
//	"…"     whatever stands in quotes
//	<secret> what looks like one: behind password=, Authorization: and Bearer, and the user and password of a URL
//
// Names that everybody knows stay: sha256, x509, http2. White space becomes one
// blank. Only the first KiB of the message counts, and the pattern is
// cut at 256 bytes.
func FailurePattern(message string) string {
	if len(message) > patternInput {
		message = message[:runeBoundary(message, patternInput)]
	}
	p := patternReader{whole: message, rest: message}
	p.out.Grow(min(len(message), patternSize+utf8.UTFMax))
	for p.rest != "" && p.out.Len() <= patternSize {
		p.step()
	}
	return CleanText(strings.TrimSpace(p.out.String()), patternSize)
}

// patternReader writes a message's pattern.
type patternReader struct {
	whole, rest string
	out         strings.Builder
	last        byte // the byte before rest; 0 at the beginning
}

// step writes what stands for the next word, quotation or other character.
func (p *patternReader) step() {
	c := p.rest[0]
	switch {
	case (c == '=' || c == ':' || c == ' ') && p.secret():
	case c == ' ' || c == '\t' || c == '\n' || c == '\r':
		if p.last != ' ' {
			p.out.WriteByte(' ')
		}
		p.rest, p.last = p.rest[1:], ' '
	case c == '<' && p.mark():
	case (c == '"' || c == '`' || c == '\'' && !isWord(p.last)) && p.quoted(c):
	case isWord(c):
		p.word()
	case c == '[' && p.bracketed():
	default:
		_, size := utf8.DecodeRuneInString(p.rest)
		p.keep(size)
	}
}

func (p *patternReader) keep(n int) {
	p.out.WriteString(p.rest[:n])
	p.skip(n)
}

func (p *patternReader) put(mark string, n int) {
	p.out.WriteString(mark)
	p.skip(n)
}

func (p *patternReader) skip(n int) { p.last, p.rest = p.rest[n-1], p.rest[n:] }

// mark keeps what an earlier pattern has put.
func (p *patternReader) mark() bool {
	for _, mark := range []string{"<n>", "<id>", "<hex>", "<addr>", "<time>", secretMark} {
		if strings.HasPrefix(p.rest, mark) {
			p.keep(len(mark))
			p.last = 'n' // what follows is of the same word
			return true
		}
	}
	return false
}

// quoted replaces what stands in quotes, up to the next same quote. An
// apostrophe ends a quotation only where a word ends.
func (p *patternReader) quoted(quote byte) bool {
	for i := 1; i < len(p.rest); i++ {
		switch {
		case p.rest[i] == '\\' && quote == '"':
			i++
		case p.rest[i] == quote && (quote != '\'' || i+1 == len(p.rest) || !isWord(p.rest[i+1])):
			p.put(string(quote)+"…"+string(quote), i+1)
			return true
		}
	}
	return false
}

// bracketed replaces an IPv6 address in brackets.
func (p *patternReader) bracketed() bool {
	inner, after, ok := strings.Cut(p.rest[1:], "]")
	if !ok || strings.Count(inner, ":") < 2 || strings.Trim(inner, "0123456789abcdefABCDEF:.%") != "" {
		return false
	}
	p.put("<addr>", len(inner)+2+portLen(after))
	return true
}

// portLen returns how much of a text's beginning is a port: ":5432".
func portLen(text string) int {
	if n := digitsOf(text[min(1, len(text)):]); n > 0 && text[0] == ':' {
		return 1 + n
	}
	return 0
}

func digitsOf(text string) (n int) {
	for n < len(text) && isDigit(text[n]) {
		n++
	}
	return n
}

// isWord reports whether c belongs to a word: a letter, also beyond ASCII, a digit or an underscore.
func isWord(c byte) bool {
	return c == '_' || isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= utf8.RuneSelf
}

// word writes what stands for the word at hand.
func (p *patternReader) word() {
	n := 0
	for n < len(p.rest) && isWord(p.rest[n]) {
		n++
	}
	if size := uuidLen(p.rest); size > 0 {
		p.put("<id>", size)
		return
	}
	if size := mailLen(p.rest); size > 0 {
		p.put("<addr>", size)
		return
	}
	if isDigit(p.rest[0]) {
		if size := timeLen(p.rest); size > 0 {
			p.put("<time>", size)
			return
		}
		if size := ipLen(p.rest); size > 0 {
			p.put("<addr>", size+portLen(p.rest[size:]))
			return
		}
	}
	p.plainWord(n)
}

// plainWord writes what stands for a word of n letters and digits.
func (p *patternReader) plainWord(n int) {
	word := p.rest[:n]
	digits := digitsOf(word)
	letters := 0 // at the beginning
	for letters < n && !isDigit(word[letters]) {
		letters++
	}
	allHex := strings.Trim(word, "0123456789abcdefABCDEF") == ""
	switch {
	case letters == n: // no digit in it
		p.keep(n)
	case digits == n:
		size := n
		if n+1 < len(p.rest) && p.rest[n] == '.' && isDigit(p.rest[n+1]) { // a decimal point
			size = n + 1 + digitsOf(p.rest[n+1:])
		}
		p.put("<n>", size)
	case len(word) > 2 && word[0] == '0' && word[1]|0x20 == 'x':
		p.put("<hex>", n)
	case n >= 8 && allHex:
		p.put("<hex>", n)
	case digits > 0 && n-digits <= 3 && strings.Trim(word[digits:], "0123456789") == word[digits:]: // a unit
		p.put("<n>"+word[digits:], n)
	case wellKnown[strings.ToLower(word)]:
		p.keep(n)
	case letters > 0 && digitsOf(word[letters:]) == n-letters && p.last != '/': // its end counts
		p.put(word[:letters]+"<n>", n)
	default:
		p.put("<id>", n)
	}
}

// wellKnown are names whose digits do not vary.
var wellKnown = func() map[string]bool {
	m := map[string]bool{}
	for name := range strings.FieldsSeq(`x509 md5 sha1 sha224 sha256 sha384 sha512 sha3 utf8 utf16 utf32 iso8859 base32 base64 http1 http2 http3 h2 h2c h3
		ipv4 ipv6 tcp4 tcp6 udp4 udp6 ip4 ip6 socks4 socks5 oauth1 oauth2 s3 ec2 k8s p256 p384 p521 ed25519 x25519 rs256 es256 hs256 aes128 aes256
		pkcs1 pkcs7 pkcs8 pkcs12 tls1 ssl3 int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 mp3 mp4 h264 h265 log4j v1 v2 v3 v4`) {
		m[name] = true
	}
	return m
}()

// uuidLen returns the length of the UUID with which a text begins, or 0.
func uuidLen(text string) int {
	const size = 36
	if len(text) < size || len(text) > size && isWord(text[size]) {
		return 0
	}
	for i := range size {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (text[i] == '-') || !dash && hexDigit(text[i]) < 0 {
			return 0
		}
	}
	return size
}

// mailLen returns the length of the mail address with which a text begins, or 0.
func mailLen(text string) int {
	part := func(more string) func(byte) bool {
		return func(c byte) bool { return isWord(c) || strings.IndexByte(more, c) >= 0 }
	}
	n := runLen(text, part(".+-"))
	if n == 0 || n == len(text) || text[n] != '@' {
		return 0
	}
	domain := runLen(text[n+1:], part(".-"))
	for domain > 0 && strings.IndexByte(".-", text[n+domain]) >= 0 { // the end of the sentence
		domain--
	}
	if domain == 0 {
		return 0
	}
	return n + 1 + domain
}

func runLen(text string, fits func(byte) bool) (n int) {
	for n < len(text) && fits(text[n]) {
		n++
	}
	return n
}

// ipLen returns the length of the IPv4 address with which a text begins, or 0.
func ipLen(text string) int {
	at := 0
	for part := range 4 {
		if part > 0 {
			if at >= len(text) || text[at] != '.' {
				return 0
			}
			at++
		}
		n := digitsOf(text[at:])
		if n == 0 || n > 3 {
			return 0
		}
		at += n
	}
	if at < len(text) && isWord(text[at]) {
		return 0
	}
	return at
}

// timeLen returns the length of the date, the time of day or both with which a
// text begins, or 0: 2026-01-31, 2026/01/31 15:04:05.678, 2026-01-31T15:04:05Z, 15:04:05+01:00.
func timeLen(text string) int {
	date := shape(text, "dddd-dd-dd")
	if date == 0 {
		date = shape(text, "dddd/dd/dd")
	}
	clock := date
	if date > 0 && date < len(text) && (text[date] == 'T' || text[date] == ' ') {
		clock++
	}
	n := shape(text[clock:], "dd:dd:dd")
	if n == 0 {
		if date > 0 && date < len(text) && isWord(text[date]) {
			return 0
		}
		return date
	}
	end := clock + n
	if end < len(text) && (text[end] == '.' || text[end] == ',') {
		if f := digitsOf(text[end+1:]); f > 0 {
			end += 1 + f
		}
	}
	switch {
	case end < len(text) && text[end] == 'Z':
		end++
	case end < len(text) && (text[end] == '+' || text[end] == '-'):
		end += 1 + max(shape(text[end+1:], "dd:dd"), shape(text[end+1:], "dddd"), -1)
		if text[end-1] == '+' || text[end-1] == '-' {
			end--
		}
	}
	return end
}

// shape returns the length of a form, in which d stands for a digit, if the text begins like it, or 0.
func shape(text, form string) int {
	if len(text) < len(form) {
		return 0
	}
	for i := range len(form) {
		if form[i] == 'd' && !isDigit(text[i]) || form[i] != 'd' && text[i] != form[i] {
			return 0
		}
	}
	return len(form)
}
