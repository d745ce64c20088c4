package rollup

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// durations draws times of every size, from nothing to a hundred days, alone and in crowds.
func durations() *rapid.Generator[[]time.Duration] {
	one := rapid.Custom(func(t *rapid.T) time.Duration {
		magnitude := rapid.Float64Range(0, math.Log(100*24*3600e6)).Draw(t, "magnitude")
		return time.Duration(math.Exp(magnitude)) * time.Microsecond
	})
	return rapid.SliceOfN(rapid.OneOf(one, rapid.Just(time.Duration(0)), rapid.Just(time.Millisecond)), 0, 300)
}

func sketchOf(list []time.Duration) *Sketch {
	s := &Sketch{}
	for _, d := range list {
		s.Add(d)
	}
	return s
}

// encoded is a sketch's content: equal bytes mean equal sketches.
func (s *Sketch) encoded() []byte { return s.appendTo(nil) }

// exact is the quantile as it truly is.
func exact(sorted []time.Duration, q float64) time.Duration {
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}

func TestSketchQuantilesAreWithinTwoPercent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := durations().Draw(t, "durations")
		s := sketchOf(list)
		slices.Sort(list)
		sum := time.Duration(0)
		for _, d := range list {
			sum += d
		}
		if s.Count() != int64(len(list)) || s.Sum() != sum {
			t.Fatalf("count %d, sum %v; want %d, %v", s.Count(), s.Sum(), len(list), sum)
		}
		for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1} {
			if len(list) == 0 {
				if got := s.Quantile(q); got != 0 {
					t.Fatalf("an empty sketch has a quantile of %v", got)
				}
				continue
			}
			want := exact(list, q)
			if off := math.Abs(float64(s.Quantile(q) - want)); off > RelativeError*float64(want) {
				t.Fatalf("quantile %g is %v, truly %v: off by %.2f %%", q, s.Quantile(q), want, 100*off/float64(want))
			}
		}
	})
}

// TestEveryBucketIsWithinTwoPercent goes through the ends of all buckets.
func TestEveryBucketIsWithinTwoPercent(t *testing.T) {
	last := -1
	for us := uint64(0); us < 1<<62; us += max(1, us>>12) {
		b := bucketOf(us)
		if b < last || b >= buckets {
			t.Fatalf("%d µs is in bucket %d, after %d of %d", us, b, last, buckets)
		}
		last = b
		if off := math.Abs(middle(b) - float64(us)); off > 0.0195*float64(us) {
			t.Fatalf("%d µs counts as %.1f µs", us, middle(b))
		}
	}
	if b := bucketOf(math.MaxInt64); b >= buckets {
		t.Errorf("the longest duration is in bucket %d of %d", b, buckets)
	}
}

func TestSketchesMergeInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := durations().Draw(t, "a"), durations().Draw(t, "b"), durations().Draw(t, "c")
		all := sketchOf(slices.Concat(a, b, c)).encoded()
		left := sketchOf(a) // (a+b)+c
		left.Merge(sketchOf(b))
		left.Merge(sketchOf(c))
		tail := sketchOf(b) // a+(b+c), with c before b
		tail2 := sketchOf(c)
		tail2.Merge(tail)
		right := sketchOf(a)
		right.Merge(tail2)
		if !bytes.Equal(all, left.encoded()) || !bytes.Equal(all, right.encoded()) {
			t.Fatal("the order of merging matters")
		}
		read := &Sketch{}
		r := reading{rest: all}
		if read.mergeFrom(&r); r.err != nil || len(r.rest) > 0 || !bytes.Equal(read.encoded(), all) {
			t.Fatalf("what was encoded is read as something else: %v", r.err)
		}
		var again int64
		left.Buckets(func(low, high time.Duration, n int64) {
			if low >= high {
				t.Fatalf("a bucket from %v to %v", low, high)
			}
			again += n
		})
		if again != left.Count() {
			t.Fatalf("the buckets hold %d of %d", again, left.Count())
		}
		left.Reset()
		left.Merge(sketchOf(a))
		if !bytes.Equal(left.encoded(), sketchOf(a).encoded()) {
			t.Fatal("an emptied sketch remembers")
		}
	})
}

// TestSketchOfManyShapes compares quantiles with exact ones for the shapes that waits and runs have.
func TestSketchOfManyShapes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	shapes := map[string]func() float64{
		"even":     func() float64 { return 1e6 * rnd.Float64() },
		"bell":     func() float64 { return math.Abs(5e4 + 1e4*rnd.NormFloat64()) },
		"long":     func() float64 { return math.Exp(8 + 2*rnd.NormFloat64()) },
		"two":      func() float64 { return []float64{900, 3e7}[rnd.IntN(2)] * (1 + 0.1*rnd.Float64()) },
		"constant": func() float64 { return 12345 },
		"tiny":     func() float64 { return float64(rnd.IntN(4)) },
	}
	for name, draw := range shapes {
		t.Run(name, func(t *testing.T) {
			list := make([]time.Duration, 100_000)
			parts := make([]Sketch, 60) // as many minutes, merged
			for i := range list {
				list[i] = time.Duration(draw()) * time.Microsecond
				parts[rnd.IntN(len(parts))].Add(list[i])
			}
			var s Sketch
			for i := range parts {
				s.Merge(&parts[i])
			}
			slices.Sort(list)
			for _, q := range []float64{0.5, 0.95, 0.99, 0.9999} {
				want := exact(list, q)
				if off := math.Abs(float64(s.Quantile(q) - want)); off > RelativeError*float64(want) {
					t.Errorf("p%g is %v, truly %v", 100*q, s.Quantile(q), want)
				}
			}
			t.Logf("%d bytes", len(s.encoded()))
		})
	}
}

func FuzzPage(f *testing.F) {
	for _, sketches := range []bool{true, false} {
		f.Add(somePage(3, 3).encode(sketches))
	}
	f.Add([]byte{pageVersion, 0, 0, 0, 2, 0x80, 0x04})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		p := page{}
		if p.mergeRaw(raw) != nil {
			return
		}
		again := page{}
		if err := again.mergeRaw(p.encode(true)); err != nil {
			t.Fatalf("%x: what was read and written cannot be read: %v", raw, err)
		}
		if !bytes.Equal(again.encode(true), p.encode(true)) {
			t.Fatalf("%x: it is read and written as something else", raw)
		}
		for _, s := range p {
			if q := s.Wait.Quantile(0.5); q < 0 {
				t.Fatalf("%x: the median is %v", raw, q)
			}
		}
	})
}

// somePage is a page of the figures of some queues with some kinds each.
func somePage(queues, kinds int) page {
	rnd := rand.New(rand.NewPCG(3, 4))
	p := page{}
	for q := range queues {
		for k := range kinds {
			sums := p.of(Series{fmt.Sprintf("tenant-%04d.mail", q), fmt.Sprintf("mail.kind%02d", k)})
			for range 20 + rnd.IntN(100) {
				sums.Succeeded++
				sums.Wait.Add(time.Duration(math.Exp(8+rnd.NormFloat64())) * time.Microsecond)
				sums.Run.Add(time.Duration(math.Exp(11+rnd.NormFloat64()/2)) * time.Microsecond)
			}
			sums.Retried = int64(rnd.IntN(3))
		}
	}
	return p
}

func BenchmarkSketchAdd(b *testing.B) {
	var s Sketch
	d := time.Microsecond
	for b.Loop() {
		s.Add(d)
		d = (d*5 + 3) % time.Second
	}
}
