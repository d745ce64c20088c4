// Package redact takes secrets out of what is shown: in pages, replies of the API, the command line and logs.
//
// A job's arguments, metadata, result and errors are kept as they were given. Whoever shows them passes them through this
// package first, unless somebody who may see secrets has asked for them: [JSON] replaces values under names that look like a
// secret's, such as "password" or "api_key", at any depth, and leaves every other byte as it is; [Text] does what can be done for
// free text; [Snapshot] does both for a job, [Attr] for log lines. [Restore] puts secrets back into a text that was edited after
// they were taken out.
package redact

import (
	"bytes"
	"encoding/json"
	"slices"
)

// Mark stands where a secret was.
const Mark = "[redacted]"

// quoted is the mark as JSON.
const quoted = `"` + Mark + `"`

// JSON returns a JSON text in which [Mark] stands for each value under a name that [Secret] knows, whatever the value is, unless
// it is null, true, false or empty, which are no secrets. The same holds for the value in {"name": "password", "value": …} and
// its like. All other bytes are as they were, white space, escapes and numbers of any size too; without a secret, raw itself is
// returned. What is not JSON is replaced as a whole.
func JSON(raw []byte) []byte {
	if len(raw) == 0 {
		return raw
	}
	if !json.Valid(raw) {
		return []byte(quoted)
	}
	s := scanner{data: raw}
	s.value(false)
	if len(s.spans) == 0 {
		return raw
	}
	slices.SortFunc(s.spans, func(a, b span) int { return a.from - b.from })
	out, at := make([]byte, 0, len(raw)), 0
	for _, p := range s.spans {
		out = append(append(out, raw[at:p.from]...), quoted...)
		at = p.to
	}
	return append(out, raw[at:]...)
}

// span is a part of a text.
type span struct{ from, to int }

// scanner goes through valid JSON and notes where secrets stand.
type scanner struct {
	data  []byte
	at    int
	spans []span // none lies in another
}

// value passes over a value, with the white space before it. That the recursion ends is known: [json.Valid] allows 10,000 levels.
func (s *scanner) value(secret bool) span {
	s.blanks()
	v, before := span{from: s.at}, len(s.spans)
	switch s.data[s.at] {
	case '{':
		s.object()
	case '[':
		s.array()
	case '"':
		s.text()
	default: // a number, true, false, null
		for s.at < len(s.data) && !bytes.ContainsRune([]byte(",]} \t\r\n"), rune(s.data[s.at])) {
			s.at++
		}
	}
	v.to = s.at
	if secret && worthHiding(s.data[v.from:v.to]) {
		s.spans = append(s.spans[:before], v)
	}
	return v
}

// worthHiding reports whether a value can be a secret at all.
func worthHiding(v []byte) bool {
	switch string(v) {
	case "null", "true", "false", `""`, "{}", "[]":
		return false
	}
	return true
}

func (s *scanner) blanks() {
	for s.at < len(s.data) && bytes.IndexByte([]byte(" \t\r\n"), s.data[s.at]) >= 0 {
		s.at++
	}
}

// next passes over white space and one byte, and returns that.
func (s *scanner) next() byte {
	s.blanks()
	s.at++
	return s.data[s.at-1]
}

func (s *scanner) text() (content []byte) {
	from := s.at + 1
	for s.at++; s.data[s.at] != '"'; s.at++ {
		if s.data[s.at] == '\\' {
			s.at++
		}
	}
	s.at++
	return s.data[from : s.at-1]
}

// name reads an object's key, with the colon behind it.
func (s *scanner) name() string {
	content := s.text()
	s.next()
	return unescape(content)
}

// unescape returns what a string's content means.
func unescape(content []byte) string {
	var text string
	if bytes.IndexByte(content, '\\') >= 0 && json.Unmarshal(slices.Concat([]byte(`"`), content, []byte(`"`)), &text) == nil {
		return text
	}
	return string(content)
}

func (s *scanner) array() {
	s.at++
	if s.blanks(); s.data[s.at] == ']' {
		s.at++
		return
	}
	for more := true; more; more = s.next() == ',' {
		s.value(false)
	}
}

func (s *scanner) object() {
	s.at++
	if s.blanks(); s.data[s.at] == '}' {
		s.at++
		return
	}
	before := len(s.spans)
	named := false    // a member says that another one is a secret
	var values []span // of members that such a member would speak of
	for more := true; more; more = s.next() == ',' {
		s.blanks()
		name := s.name()
		v := s.value(Secret(name))
		switch content := s.data[v.from:v.to]; {
		case namesAnother[name] && content[0] == '"':
			named = named || Secret(unescape(content[1:len(content)-1]))
		case namedByAnother[name] && worthHiding(content):
			values = append(values, v)
		}
	}
	if named {
		for _, v := range values {
			s.cover(v, before)
		}
	}
}

// namesAnother and namedByAnother are the members of objects that hold a name and a value, as headers often do.
var (
	namesAnother   = map[string]bool{"name": true, "Name": true, "key": true, "Key": true, "header": true, "field": true}
	namedByAnother = map[string]bool{"value": true, "Value": true, "values": true, "Values": true}
)

// cover notes a span in place of those that lie in it; they are not among the first ones.
func (s *scanner) cover(v span, first int) {
	inner := slices.DeleteFunc(s.spans[first:], func(p span) bool { return p.from >= v.from && p.to <= v.to })
	s.spans = append(s.spans[:first+len(inner)], v)
}
