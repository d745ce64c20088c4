package rollup

import (
	"cmp"
	"encoding/binary"
	"maps"
	"math/bits"
	"slices"
)

// Series names what a line of numbers is about: a kind within a queue. An empty Queue means all queues, an empty Kind all kinds.
type Series struct {
	Queue, Kind string
}

func (s Series) compare(o Series) int {
	return cmp.Or(cmp.Compare(s.Queue, o.Queue), cmp.Compare(s.Kind, o.Kind))
}

// Other takes, as a queue, what happened in queues and kinds for which there was no room: see [MaxSeries].
const Other = "(other)"

// MaxSeries is how many kinds within queues a process counts within a minute. What goes beyond is counted under [Other].
const MaxSeries = 5000

// page is the content of one record, or of several that were merged: the sums of some series.
type page map[Series]*Sums

// of returns the sums of a series, new ones if need be.
func (p page) of(s Series) *Sums {
	sums := p[s]
	if sums == nil {
		sums = &Sums{}
		p[s] = sums
	}
	return sums
}

// within is of, for a page of at most [MaxSeries] series and [Other].
func (p page) within(s Series) *Sums {
	other, most := Series{Queue: Other}, MaxSeries
	if p[other] != nil {
		most++
	}
	if len(p) >= most && p[s] == nil {
		s = other
	}
	return p.of(s)
}

const pageVersion = 1

// hasEnqueued is the bit of Counts.Enqueued in a series' mask.
const hasEnqueued = 1 << 3

// Bits of a series' mask beyond those of the counters.
const (
	hasWait = 1 << (counters + iota)
	hasRun
	hasRan
)

// pageWriter makes a page's bytes: a version, the names, and what refers to them by number.
type pageWriter struct {
	names map[string]uint64
	list  []byte // the names
	body  []byte
}

func newPageWriter() *pageWriter { return &pageWriter{names: map[string]uint64{"": 0}} }

// name adds a name.
func (w *pageWriter) name(name string) {
	n, known := w.names[name]
	if !known {
		n = uint64(len(w.names))
		w.names[name] = n
		w.list = appendBytes(w.list, name)
	}
	w.body = binary.AppendUvarint(w.body, n)
}

// series adds a series and its encoded sums.
func (w *pageWriter) series(s Series, sums []byte) {
	w.name(s.Queue)
	w.name(s.Kind)
	w.body = appendBytes(w.body, sums)
}

func (w *pageWriter) bytes() []byte {
	b := make([]byte, 0, len(w.list)+len(w.body)+8)
	b = binary.AppendUvarint(append(b, pageVersion), uint64(len(w.names)-1))
	return append(append(b, w.list...), w.body...)
}

// appendBytes appends a length and as many bytes.
func appendBytes[T []byte | string](b []byte, value T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(value))), value...)
}

// encode returns the page as bytes: for each series its two names, the length of what follows, a mask of what is there, and what is there.
// It is the same for equal pages. Instead of sketches it has, if so told, how long the attempts ran in all.
func (p page) encode(sketches bool) []byte {
	w := newPageWriter()
	var body []byte
	for _, s := range slices.SortedFunc(maps.Keys(p), Series.compare) {
		body = p[s].appendTo(body[:0], sketches)
		w.series(s, body)
	}
	return w.bytes()
}

func (s *Sums) appendTo(b []byte, sketches bool) []byte {
	mask := uint64(0)
	for i, n := range s.list() {
		if *n != 0 {
			mask |= 1 << i
		}
	}
	if sketches && s.Wait.n > 0 {
		mask |= hasWait
	}
	if sketches && s.Run.n > 0 {
		mask |= hasRun
	}
	if !sketches && s.Run.sum > 0 {
		mask |= hasRan
	}
	b = binary.AppendUvarint(b, mask)
	for _, n := range s.list() {
		if *n != 0 {
			b = binary.AppendUvarint(b, uint64(*n))
		}
	}
	if mask&hasWait != 0 {
		b = s.Wait.appendTo(b)
	}
	if mask&hasRun != 0 {
		b = s.Run.appendTo(b)
	}
	if mask&hasRan != 0 {
		b = binary.AppendUvarint(b, s.Run.sum)
	}
	return b
}

// mergeFrom adds encoded sums.
func (s *Sums) mergeFrom(r *reading) {
	mask := r.number()
	for i, n := range s.list() {
		if mask&(1<<i) != 0 {
			*n += int64(r.number())
		}
	}
	if mask&hasWait != 0 {
		s.Wait.mergeFrom(r)
	}
	if mask&hasRun != 0 {
		s.Run.mergeFrom(r)
	}
	if mask&hasRan != 0 {
		r.number()
	}
}

// encodedPage is a page as a record holds it, with its names read.
type encodedPage struct {
	names []string // the first is empty
	body  []byte
}

// open reads a page's names; name makes a text of one.
func open(raw []byte, name func([]byte) string) (encodedPage, error) {
	if len(raw) == 0 || raw[0] != pageVersion {
		return encodedPage{}, errDamaged
	}
	r := reading{rest: raw[1:]}
	n := r.number()
	if n > uint64(len(r.rest)) {
		return encodedPage{}, errDamaged
	}
	p := encodedPage{names: make([]string, 1, n+1)}
	for range n {
		p.names = append(p.names, name(r.bytes()))
	}
	p.body = r.rest
	return p, r.err
}

// each calls fn for each series. What fn does not merge costs next to nothing. A page that breaks off in the middle is an error,
// and what came before has been told.
func (p *encodedPage) each(fn func(s Series, sums encodedSums) error) error {
	r := reading{rest: p.body}
	for len(r.rest) > 0 {
		queue, kind := r.number(), r.number()
		body := r.bytes()
		if max(queue, kind) >= uint64(len(p.names)) {
			r.fail()
		}
		if r.err != nil {
			return r.err
		}
		if err := fn(Series{p.names[queue], p.names[kind]}, body); err != nil {
			return err
		}
	}
	return r.err
}

// encodedSums are sums as a record holds them.
type encodedSums []byte

// mergeInto adds them.
func (e encodedSums) mergeInto(s *Sums) error {
	r := reading{rest: e}
	s.mergeFrom(&r)
	if len(r.rest) > 0 {
		r.fail()
	}
	return r.err
}

// addTo adds the counts alone, and returns how long the attempts ran in all, in microseconds: as the shard of totals has it.
func (e encodedSums) addTo(c *Counts) (ran uint64, err error) {
	r := reading{rest: e}
	mask := r.number()
	list := c.list()
	for left := mask & (1<<counters - 1); left != 0; left &= left - 1 {
		*list[bits.TrailingZeros64(left)] += int64(r.number())
	}
	if mask&hasRan != 0 {
		ran = r.number()
	}
	return ran, r.err
}

// merge adds an encoded page.
func (p page) merge(e *encodedPage) error {
	return e.each(func(s Series, sums encodedSums) error { return sums.mergeInto(p.of(s)) })
}
