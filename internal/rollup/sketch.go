package rollup

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"slices"
	"time"
)

// RelativeError is how far a quantile of a [Sketch] may be off, as a part of the true value.
const RelativeError = 0.02

const (
	// perOctave buckets share each doubling: they grow by 2^(1/18), so that the middle of each is within 1.93 % of its ends.
	perOctave = 18
	// buckets is how many there are: one for less than a microsecond, and those of 63 doublings from there.
	buckets = 1 + 63*perOctave
)

// bounds are the ends of the buckets of one doubling, as 1 ≤ bound < 2 in units of 2^-32; the last one is the next doubling.
var bounds = func() (b [perOctave + 1]uint64) {
	for i := range b {
		b[i] = uint64(math.Ceil(math.Exp2(float64(i)/perOctave) * (1 << 32)))
	}
	return b
}()

// nearest is, for each 64th part of a doubling, the bucket in which it begins; the one that is meant is this or the next.
var nearest = func() (n [64]uint8) {
	for i := range n {
		at := 1<<32 + uint64(i)<<26
		for n[i]+1 < perOctave && bounds[n[i]+1] <= at {
			n[i]++
		}
	}
	return n
}()

// Sketch holds how durations are distributed, from a microsecond to any number of days, in a few hundred bytes. Its
// quantiles are right to [RelativeError]. Merging is associative and commutative and loses nothing. The zero Sketch is
// empty and ready for use; it is not safe for several goroutines.
type Sketch struct {
	first  int      // the bucket that counts[0] counts
	counts []uint64 // of neighbouring buckets
	n      uint64   // of all
	sum    uint64   // in microseconds
}

// bucketOf returns the bucket of a duration in microseconds.
func bucketOf(us uint64) int {
	if us == 0 {
		return 0
	}
	octave := bits.Len64(us) - 1
	part := us << (63 - octave) >> 31 // 1 ≤ part < 2, in units of 2^-32
	i := int(nearest[part>>26&63])
	if part >= bounds[i+1] {
		i++
	}
	return 1 + octave*perOctave + i
}

// middle returns the duration that stands for a bucket, in microseconds: as far from its lower as from its upper end, as a part of either.
func middle(bucket int) float64 {
	if bucket == 0 {
		return 0
	}
	low := math.Exp2(float64(bucket-1) / perOctave)
	high := math.Exp2(float64(bucket) / perOctave)
	return 2 * low * high / (low + high)
}

// Add counts a duration. Negative ones count as 0.
func (s *Sketch) Add(d time.Duration) {
	us := uint64(max(d, 0) / time.Microsecond)
	*s.at(bucketOf(us))++
	s.n++
	s.sum += us
}

// at returns the count of a bucket, making room for it.
func (s *Sketch) at(bucket int) *uint64 {
	i := bucket - s.first
	if i >= 0 && i < len(s.counts) {
		return &s.counts[i]
	}
	s.span(bucket, bucket+1)
	return &s.counts[bucket-s.first]
}

// span makes room for the buckets from low up to, but not including, high. It takes a little more than it must, for times rarely come alone.
func (s *Sketch) span(low, high int) {
	const spare = perOctave / 2
	switch {
	case len(s.counts) == 0:
		s.first = max(low-spare, 0)
		s.counts = slices.Grow(s.counts[:0], high+spare-s.first)[:high+spare-s.first]
		clear(s.counts)
		return
	case low < s.first:
		n := s.first - max(low-spare, 0)
		s.counts = slices.Insert(s.counts, 0, make([]uint64, n)...)
		s.first -= n
	}
	if have := s.first + len(s.counts); high > have {
		s.counts = append(s.counts, make([]uint64, high+spare-have)...)
	}
}

// Merge adds all that another sketch holds, which is left as it is.
func (s *Sketch) Merge(o *Sketch) {
	low, high := o.extent()
	if low == high {
		return
	}
	s.span(low, high)
	for i, n := range o.counts[low-o.first : high-o.first] {
		s.counts[low+i-s.first] += n
	}
	s.n += o.n
	s.sum += o.sum
}

// extent returns the first bucket that is not empty and the one after the last.
func (s *Sketch) extent() (low, high int) {
	if s.n == 0 {
		return 0, 0
	}
	i, k := 0, len(s.counts)
	for s.counts[i] == 0 {
		i++
	}
	for s.counts[k-1] == 0 {
		k--
	}
	return s.first + i, s.first + k
}

// Reset empties the sketch and keeps its memory.
func (s *Sketch) Reset() {
	clear(s.counts)
	s.n, s.sum = 0, 0
}

// Count returns how many durations the sketch holds.
func (s *Sketch) Count() int64 { return int64(s.n) }

// Sum returns all durations together, each cut to the microsecond.
func (s *Sketch) Sum() time.Duration { return time.Duration(s.sum) * time.Microsecond }

// Mean returns the average; 0 if the sketch is empty. It is exact to the microsecond.
func (s *Sketch) Mean() time.Duration {
	if s.n == 0 {
		return 0
	}
	return time.Duration(float64(s.sum) / float64(s.n) * float64(time.Microsecond))
}

// Quantile returns the duration that a part q of all durations do not exceed: 0.5 for the median, 1 for the longest. It is
// 0 if the sketch is empty; a q out of 0 to 1 counts as the nearer of these.
func (s *Sketch) Quantile(q float64) time.Duration {
	if s.n == 0 {
		return 0
	}
	rank := uint64(math.Ceil(min(max(q, 0), 1) * float64(s.n)))
	rank = min(max(rank, 1), s.n)
	for i, n := range s.counts {
		if n >= rank {
			return time.Duration(middle(s.first+i) * float64(time.Microsecond))
		}
		rank -= n
	}
	return 0 // not reached: the counts add up to n
}

// Buckets calls fn for each bucket that is not empty, from the shortest durations on: from low up to, but not including, high. It is for histograms.
func (s *Sketch) Buckets(fn func(low, high time.Duration, n int64)) {
	end := func(bucket int) time.Duration {
		if bucket == 0 {
			return 0
		}
		return time.Duration(math.Exp2(float64(bucket-1)/perOctave) * float64(time.Microsecond))
	}
	for i, n := range s.counts {
		if n > 0 {
			fn(end(s.first+i), end(s.first+i+1), int64(n))
		}
	}
}

// errDamaged says that a record is not what this package writes.
var errDamaged = errors.New("rollup: a record is damaged, or was written by a later release")

// appendTo appends the sketch's encoding: sum, first bucket, number of buckets, and the counts, where a 0 is followed by
// how many further zeros there are.
func (s *Sketch) appendTo(b []byte) []byte {
	low, high := s.extent()
	b = binary.AppendUvarint(b, s.sum)
	b = binary.AppendUvarint(b, uint64(low))
	b = binary.AppendUvarint(b, uint64(high-low))
	if low == high {
		return b
	}
	list := s.counts[low-s.first : high-s.first]
	for i := 0; i < len(list); i++ {
		b = binary.AppendUvarint(b, list[i])
		if list[i] == 0 {
			zeros := i
			for list[i+1] == 0 { // the last one is not 0
				i++
			}
			b = binary.AppendUvarint(b, uint64(i-zeros))
		}
	}
	return b
}

// mergeFrom adds an encoded sketch.
func (s *Sketch) mergeFrom(r *reading) {
	sum, low, size := r.number(), r.number(), r.number()
	if low > buckets || size > buckets-low {
		r.fail()
	}
	if r.err != nil || size == 0 {
		return
	}
	s.span(int(low), int(low+size))
	list := s.counts[int(low)-s.first:][:size]
	for i := 0; i < len(list); i++ {
		n := r.number()
		if n == 0 {
			zeros := r.number()
			if zeros >= uint64(len(list)-i) {
				r.fail()
			}
			if r.err != nil {
				return
			}
			i += int(zeros)
			continue
		}
		list[i] += n
		s.n += n
	}
	s.sum += sum
}

// reading reads numbers and texts from a record, and keeps the first error.
type reading struct {
	rest []byte
	err  error
}

func (r *reading) fail() {
	if r.err == nil {
		r.err, r.rest = errDamaged, nil
	}
}

func (r *reading) number() uint64 {
	if len(r.rest) > 0 && r.rest[0] < 0x80 { // most are small
		n := uint64(r.rest[0])
		r.rest = r.rest[1:]
		return n
	}
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || n > math.MaxInt64 {
		r.fail()
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

// bytes reads a length and as many bytes, which are not copied.
func (r *reading) bytes() []byte {
	return r.fixed(int(min(r.number(), uint64(len(r.rest)+1))))
}

// fixed reads so many bytes, which are not copied.
func (r *reading) fixed(n int) []byte {
	if n > len(r.rest) {
		r.fail()
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}
