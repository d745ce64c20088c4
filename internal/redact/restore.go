package redact

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// Restore puts the secrets of a JSON text back into an edited copy in which [Mark] stands for them. Where the copy has a mark,
// the value at the same path of original is put; all other bytes are as they were edited. Within an array this is done only if
// nothing in that array was changed, since else a secret could come to stand beside what it does not belong to.
//
// The error names the place of a mark for which nothing can be put: the value must be given there.
func Restore(edited, original []byte) ([]byte, error) {
	if !json.Valid(edited) {
		return nil, fmt.Errorf("the text is not JSON")
	}
	r := restorer{scanner: scanner{data: edited}}
	r.restore("$", original)
	if r.err != nil {
		return nil, r.err
	}
	return append(r.out, edited[r.done:]...), nil
}

// restorer writes an edited text with its secrets.
type restorer struct {
	scanner
	out  []byte
	done int // up to here the edited text has been written
	err  error
}

// restore goes through a value, beside the one that was there before; nil if there was none that may be used.
func (r *restorer) restore(path string, original []byte) {
	r.blanks()
	from := r.at
	switch r.data[r.at] {
	case '{':
		r.members(path, original)
	case '[':
		r.items(path, original)
	default:
		r.value(false)
		if string(r.data[from:r.at]) != quoted {
			return
		}
		if original == nil {
			if r.err == nil {
				r.err = fmt.Errorf("at %s: %s stands for no value that is known: give the value itself", path, Mark)
			}
			return
		}
		r.out = append(append(r.out, r.data[r.done:from]...), original...)
		r.done = r.at
	}
}

func (r *restorer) members(path string, original []byte) {
	var had map[string]json.RawMessage
	if json.Unmarshal(original, &had) != nil {
		had = nil
	}
	r.at++
	if r.blanks(); r.data[r.at] == '}' {
		r.at++
		return
	}
	for more := true; more; more = r.next() == ',' {
		r.blanks()
		name := r.name()
		r.restore(path+"."+name, had[name])
	}
}

func (r *restorer) items(path string, original []byte) {
	var had []json.RawMessage
	whole := scanner{data: r.data, at: r.at}
	if v := whole.value(false); json.Unmarshal(original, &had) != nil || !sameJSON(r.data[v.from:v.to], JSON(original)) {
		had = nil
	}
	r.at++
	if r.blanks(); r.data[r.at] == ']' {
		r.at++
		return
	}
	i := 0
	for more := true; more; more = r.next() == ',' {
		var item []byte
		if i < len(had) {
			item = had[i]
		}
		r.restore(path+"["+strconv.Itoa(i)+"]", item)
		i++
	}
}

// sameJSON reports whether two texts differ in white space only.
func sameJSON(a, b []byte) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && slices.Equal(x.Bytes(), y.Bytes())
}
