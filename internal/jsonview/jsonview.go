// Package jsonview writes JSON and other texts that nobody vouches for as HTML for people: indented, with objects and lists that
// fold (<details>, no script), numbers digit for digit as they were given, and characters that cannot be seen, or that turn text
// around, written as what they are. However large the text, the HTML is bounded, and says what it leaves out.
//
// Secrets are taken out before: see package redact.
package jsonview

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// The bounds of one rendering.
const (
	maxValues = 4000     // members and elements that are shown
	maxString = 4 << 10  // bytes of one string
	maxText   = 96 << 10 // bytes of all strings and numbers together
	maxDepth  = 64       // levels that are shown
	openDepth = 3        // levels that are unfolded at first
	openSize  = 60       // members and elements up to which one is unfolded at first
)

// View is a text as HTML.
type View struct {
	HTML template.HTML
	// Cut says that something is left out. HTML marks where.
	Cut bool
}

// Render writes a JSON text. What is no JSON is written as text, so that it can be seen what it is.
func Render(raw []byte) View {
	if len(bytes.TrimSpace(raw)) == 0 {
		return View{}
	}
	if !json.Valid(raw) {
		text, cut := Text(string(raw), maxText)
		return View{HTML: `<span class="json-text">` + text + `</span>`, Cut: cut}
	}
	w := writer{dec: json.NewDecoder(bytes.NewReader(raw))}
	w.dec.UseNumber()
	w.value(0)
	return View{HTML: template.HTML(w.out.String()), Cut: w.cut} // #nosec: every text in it was escaped
}

// writer turns tokens into HTML.
type writer struct {
	dec    *json.Decoder
	out    strings.Builder
	values int
	text   int
	cut    bool
}

// full reports whether as much is written as may be.
func (w *writer) full() bool { return w.values >= maxValues || w.text >= maxText }

// next returns the next token of a text that is valid JSON.
func (w *writer) next() json.Token {
	t, err := w.dec.Token()
	if err != nil { // it was checked before
		panic(fmt.Sprintf("jsonview: %v", err))
	}
	return t
}

// value writes the next value.
func (w *writer) value(depth int) {
	w.values++
	switch v := w.next().(type) {
	case json.Delim:
		w.container(v, depth)
	case string:
		w.str(v, "json-string")
	case json.Number:
		w.scalar(v.String(), "json-number")
	case bool:
		w.scalar(strconv.FormatBool(v), "json-word")
	default:
		w.scalar("null", "json-word")
	}
}

func (w *writer) scalar(text, class string) {
	shown := text
	if len(shown) > maxString { // a number of so many digits
		shown = shown[:maxString]
	}
	w.text += len(shown)
	w.out.WriteString(`<span class="` + class + `">` + template.HTMLEscapeString(shown))
	if len(shown) < len(text) {
		w.left(fmt.Sprintf("%d more digits", len(text)-len(shown)))
	}
	w.out.WriteString(`</span>`)
}

func (w *writer) str(text, class string) {
	shown := text
	if len(shown) > maxString {
		shown = shown[:boundary(shown, maxString)]
	}
	w.text += len(shown)
	w.out.WriteString(`<span class="` + class + `">&#34;`)
	escape(&w.out, shown, true)
	if len(shown) < len(text) {
		w.left(fmt.Sprintf("%d more bytes", len(text)-len(shown)))
	}
	w.out.WriteString(`&#34;</span>`)
}

// left marks where something is left out.
func (w *writer) left(what string) {
	w.cut = true
	w.out.WriteString(`<span class="json-cut">… ` + what + `</span>`)
}

// container writes an object or a list after its opening delimiter. Its members are written before its head, since only then it
// is known how many they are.
func (w *writer) container(opening json.Delim, depth int) {
	closing, noun := "}", "key"
	if opening == '[' {
		closing, noun = "]", "item"
	}
	if !w.dec.More() {
		w.next()
		w.out.WriteString(`<span class="json-mark">` + opening.String() + closing + `</span>`)
		return
	}
	outer := w.out
	w.out = strings.Builder{}
	n, hidden := 0, 0
	for ; w.dec.More(); n++ {
		if w.full() || depth >= maxDepth {
			w.skipMember(opening)
			hidden++
			continue
		}
		w.out.WriteString("<li>")
		if opening == '{' {
			name, _ := w.next().(string)
			w.str(name, "json-name")
			w.out.WriteString(`<span class="json-mark">: </span>`)
		}
		w.value(depth + 1)
		if w.dec.More() {
			w.out.WriteString(`<span class="json-mark">,</span>`)
		}
		w.out.WriteString("</li>")
	}
	w.next()
	if hidden > 0 {
		w.out.WriteString("<li>")
		w.left(count(hidden, noun) + " more")
		w.out.WriteString("</li>")
	}
	members := w.out.String()
	w.out = outer
	open := ""
	if depth < openDepth && (n <= openSize || depth == 0) {
		open = " open"
	}
	fmt.Fprintf(&w.out, `<details class="json-box"%s><summary><span class="json-mark">%s</span><span class="json-size">%s %s</span></summary><ul>%s</ul></details><span class="json-mark">%[3]s</span>`,
		open, opening, closing, count(n, noun), members)
}

// skipMember passes over a member of an object, or an element of a list.
func (w *writer) skipMember(of json.Delim) {
	if of == '{' {
		w.next()
	}
	for depth := 0; ; {
		if d, ok := w.next().(json.Delim); ok {
			if d == '{' || d == '[' {
				depth++
			} else {
				depth--
			}
		}
		if depth == 0 {
			return
		}
	}
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// Source returns a JSON text indented, to be edited: numbers digit for digit, and characters that cannot be seen as JSON's escapes,
// which mean the same. What is no JSON is returned as it is.
func Source(raw []byte) string {
	var indented bytes.Buffer
	if json.Indent(&indented, raw, "", "  ") != nil {
		return string(raw)
	}
	var b strings.Builder
	for _, r := range indented.String() {
		switch {
		case r == '\n' || !odd(r):
			b.WriteRune(r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// Text writes a text as HTML, cut to at most max bytes, and reports whether it was. Line breaks and tabs stay as they are; all
// other characters that cannot be seen are shown by their number.
func Text(text string, max int) (html template.HTML, cut bool) {
	shown := text
	if len(shown) > max {
		shown, cut = shown[:boundary(shown, max)], true
	}
	var b strings.Builder
	escape(&b, shown, false)
	if cut {
		fmt.Fprintf(&b, `<span class="json-cut">… %d more bytes</span>`, len(text)-len(shown))
	}
	return template.HTML(b.String()), cut // #nosec: every character of it was escaped
}

// escape writes text as HTML. As the content of a JSON string it gets JSON's escapes.
func escape(b *strings.Builder, text string, asJSON bool) {
	for i, r := range text {
		switch {
		case r == '&':
			b.WriteString("&amp;")
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '\'':
			b.WriteString("&#39;")
		case r == '"' && asJSON:
			b.WriteString(`\&#34;`)
		case r == '"':
			b.WriteString("&#34;")
		case r == '\\' && asJSON:
			b.WriteString(`\\`)
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			fmt.Fprintf(b, `<span class="json-odd" title="a byte that is not UTF-8">\x%02x</span>`, text[i])
		case asJSON && (r == '\n' || r == '\t' || r == '\r'):
			fmt.Fprintf(b, `<span class="json-escape">\%c</span>`, map[rune]rune{'\n': 'n', '\t': 't', '\r': 'r'}[r])
		case r == '\n' || r == '\t':
			b.WriteRune(r)
		case odd(r):
			fmt.Fprintf(b, `<span class="json-odd" title="U+%04X">\u%04x</span>`, r, r)
		default:
			b.WriteRune(r)
		}
	}
}

// odd reports whether a character cannot be seen, or changes how others are: controls, marks of direction, widths of zero,
// separators of lines, spaces that are none, private and unassigned ones.
func odd(r rune) bool {
	return r != ' ' && !unicode.IsGraphic(r) || unicode.Is(unicode.Zs, r) && r != ' ' || unicode.Is(unicode.Variation_Selector, r) && r >= 0xE0100
}

// boundary is the greatest place up to n at which no character is cut.
func boundary(s string, n int) int {
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return n
}
