package redact

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/gobellhop/bellhop"
)

// Restore puts the secrets of a JSON text back into an edited copy in which [Mark] stands for them. Where the copy has a mark,
// the value at the same path of original is put; all other bytes are as they were edited. Within an array this is done only if
// nothing in that array was changed, since else a secret could come to stand beside what it does not belong to. What [JSON] hides in
// original it must hide in the result too: who renames {"name": "password", "value": …} is not told the value by that.
//
// The error names the place of a mark for which nothing can be put: the value must be given there.
func Restore(edited, original []byte) ([]byte, error) {
	if !json.Valid(edited) {
		return nil, fmt.Errorf("the text is not JSON")
	}
	r := restorer{scanner: scanner{data: edited}, original: original}
	var had *node
	if json.Valid(original) {
		s := scanner{data: original}
		had = s.node()
	}
	r.restore("$", had)
	if r.err != nil {
		return nil, r.err
	}
	out := slices.Concat(r.out, edited[r.done:])
	if err := r.stillHidden(out); err != nil {
		return nil, err
	}
	return out, nil
}

// stillHidden returns an error if a value that was put back would be shown, though it was hidden where it comes from.
func (r *restorer) stillHidden(out []byte) error {
	if len(r.puts) == 0 {
		return nil
	}
	before, now := hidden(r.original), hidden(out)
	for _, p := range r.puts {
		for i := range p.from.to - p.from.from {
			if before[p.from.from+i] && !now[p.to+i] {
				return fmt.Errorf("at %s: what %s stands for would no longer be hidden there: give the value itself", bellhop.CleanText(p.path, 200), Mark)
			}
		}
	}
	return nil
}

// hidden says of each byte of a valid JSON text whether [JSON] hides it.
func hidden(text []byte) []bool {
	s, list := scanner{data: text}, make([]bool, len(text))
	s.value(false)
	for _, p := range s.spans {
		for i := p.from; i < p.to; i++ {
			list[i] = true
		}
	}
	return list
}

// node is a value in a text, with the members that it has if it is an object.
type node struct {
	span
	members map[string]*node
}

// node passes over a value and says where its parts are.
func (s *scanner) node() *node {
	s.blanks()
	if s.data[s.at] != '{' {
		return &node{span: s.value(false)}
	}
	n := &node{span: span{from: s.at}, members: map[string]*node{}}
	s.at++
	if s.blanks(); s.data[s.at] == '}' {
		s.at++
	} else {
		for more := true; more; more = s.next() == ',' {
			s.blanks()
			name := s.name()
			n.members[name] = s.node()
		}
	}
	n.to = s.at
	return n
}

// restorer writes an edited text with its secrets.
type restorer struct {
	scanner
	original []byte
	out      []byte
	done     int // up to here the edited text has been written
	puts     []put
	size     int // bytes of all puts
	err      error
}

// put is a value of the original that was put in place of a mark.
type put struct {
	from span // in the original
	to   int  // in the result
	path string
}

// restore goes through a value, beside the one that was there before; nil if there was none that may be used.
func (r *restorer) restore(path string, had *node) {
	r.blanks()
	from := r.at
	if r.data[from] == '{' {
		r.object(path, had)
		return
	}
	if r.data[from] == '[' && (had == nil || !r.unchanged(had)) {
		r.array(path)
		return
	}
	now := r.data[from:r.value(false).to]
	switch {
	case now[0] != '[' && string(now) != quoted:
	case had == nil:
		if r.err == nil {
			r.err = fmt.Errorf("at %s: %s stands for no value that is known: give the value itself", bellhop.CleanText(path, 200), Mark)
		}
	case r.size+had.to-had.from > len(r.original): // each value can be put once: small marks make no endless text
		if r.err == nil {
			r.err = fmt.Errorf("at %s: the name stands there twice", bellhop.CleanText(path, 200))
		}
	default:
		r.out = append(r.out, r.data[r.done:from]...)
		r.puts, r.size = append(r.puts, put{had.span, len(r.out), path}), r.size+had.to-had.from
		r.out = append(r.out, r.original[had.from:had.to]...)
		r.done = r.at
	}
}

// unchanged reports whether the value that comes next is what was made of an original one, but for white space.
func (r *restorer) unchanged(had *node) bool {
	ahead := scanner{data: r.data, at: r.at}
	v := ahead.value(false)
	var now, then bytes.Buffer
	return json.Compact(&now, r.data[v.from:v.to]) == nil && json.Compact(&then, JSON(r.original[had.from:had.to])) == nil &&
		bytes.Equal(now.Bytes(), then.Bytes())
}

func (r *restorer) object(path string, had *node) {
	r.at++
	if r.blanks(); r.data[r.at] == '}' {
		r.at++
		return
	}
	for more := true; more; more = r.next() == ',' {
		r.blanks()
		name := r.name()
		var inner *node
		if had != nil {
			inner = had.members[name]
		}
		r.restore(below(path, name), inner)
	}
}

func (r *restorer) array(path string) {
	r.at++
	if r.blanks(); r.data[r.at] == ']' {
		r.at++
		return
	}
	for i, more := 0, true; more; i, more = i+1, r.next() == ',' {
		r.restore(below(path, strconv.Itoa(i)), nil)
	}
}

// below returns the path of a part. It does not grow without end, since the text may be as deep as it likes.
func below(path, part string) string {
	if len(path) > 200 {
		return path
	}
	return path + "." + part
}
