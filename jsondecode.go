package bellhop

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
)

// reuseUpTo is the size of arguments up to which decoders are reused. What is
// larger costs so much that a new decoder adds little, and its buffer would be kept.
const reuseUpTo = 16 << 10

// decoder is a [json.Decoder] that reads one text after the other. Reused, it
// spares the allocations that each call of [json.Unmarshal] makes for its own state.
type decoder struct {
	text bytes.Reader
	json *json.Decoder
}

var decoders = sync.Pool{New: func() any {
	d := &decoder{}
	d.json = json.NewDecoder(&d.text)
	return d
}}

// decodeJSON does what [json.Unmarshal] does. Whatever a decoder cannot read to
// the end is read again by Unmarshal, for its error, and the decoder, which
// remembers errors and leftovers, is let go. What is read without an error is read
// once: v may have methods of its own that are called for it.
func decodeJSON(data []byte, v any) error {
	if len(data) > reuseUpTo {
		return json.Unmarshal(data, v)
	}
	d := decoders.Get().(*decoder)
	text := data
	for len(text) > 0 && strings.IndexByte(" \t\r\n", text[len(text)-1]) >= 0 { // a decoder leaves blanks at the end unread
		text = text[:len(text)-1]
	}
	d.text.Reset(text)
	from := d.json.InputOffset()
	if d.json.Decode(v) != nil || d.json.InputOffset()-from != int64(len(text)) {
		return json.Unmarshal(data, v)
	}
	d.text.Reset(nil)
	decoders.Put(d)
	return nil
}
