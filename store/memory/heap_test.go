package memory

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestHeapIsASortedList does to a heap what stores do, and compares it with a
// sorted list: most jobs come in order, some do not, some leave from the middle.
func TestHeapIsASortedList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &slab{}
		h := &heap{jobs: s}
		var model []*job
		key := map[*job]int64{}
		order := func(a, b *job) int { return cmp.Or(cmp.Compare(key[a], key[b]), cmp.Compare(a.seq, b.seq)) }
		leave := func(j *job) {
			j.remove()
			model = slices.DeleteFunc(model, func(o *job) bool { return o == j })
			s.give(j)
		}
		last, seq := int64(0), int64(0)
		t.Repeat(map[string]func(*rapid.T){
			"push in order": func(t *rapid.T) {
				for range rapid.IntRange(1, 60).Draw(t, "n") {
					last += rapid.Int64Range(0, 2).Draw(t, "later")
					seq++
					j := s.take()
					j.seq, key[j] = seq, last
					h.push(j, last)
					model = append(model, j)
				}
			},
			"push out of order": func(t *rapid.T) {
				seq++
				j := s.take()
				j.seq, key[j] = seq, rapid.Int64Range(0, last+3).Draw(t, "key")
				h.push(j, key[j])
				model = append(model, j)
			},
			"take the first": func(t *rapid.T) {
				for range rapid.IntRange(1, 80).Draw(t, "n") {
					if len(model) > 0 {
						leave(h.first())
					}
				}
			},
			"take any": func(t *rapid.T) {
				for range rapid.IntRange(1, 40).Draw(t, "n") {
					if len(model) > 0 {
						leave(model[rapid.IntRange(0, len(model)-1).Draw(t, "which")])
					}
				}
			},
			"": func(t *rapid.T) {
				slices.SortFunc(model, order)
				if h.len() != len(model) {
					t.Fatalf("the heap has %d jobs, want %d", h.len(), len(model))
				}
				if len(model) > 0 && (h.first() != model[0] || h.least().key != key[model[0]]) {
					t.Fatalf("the first is %+v, want %+v", h.least(), model[0])
				}
				got := slices.SortedFunc(h.all, order)
				if !slices.Equal(got, model) {
					t.Fatalf("the heap holds %d jobs that are not the %d of the model", len(got), len(model))
				}
			},
		})
	})
}

// TestHeapFreesWhatItHasGivenOut: a queue that is never empty does not grow.
func TestHeapFreesWhatItHasGivenOut(t *testing.T) {
	s := &slab{}
	h := &heap{jobs: s}
	for i := range int64(100_000) {
		j := s.take()
		j.seq = i
		h.push(j, i)
		if h.len() > 100 {
			first := h.first()
			if first.seq != i-100 {
				t.Fatalf("the first is %d, want %d", first.seq, i-100)
			}
			first.remove()
			s.give(first)
		}
	}
	if room := len(h.run.pieces) * pieceSize; room > 1000 || len(s.chunks) > 10 {
		t.Errorf("100 jobs take room for %d in the heap and %d chunks of the slab", room, len(s.chunks))
	}
}

// TestHeapFreesWhatHasLeftFromTheMiddle: jobs that are cancelled behind one that
// stays leave nothing behind.
func TestHeapFreesWhatHasLeftFromTheMiddle(t *testing.T) {
	s := &slab{}
	h := &heap{jobs: s}
	var latest []*job
	for i := range int64(100_000) {
		j := s.take()
		j.seq = i
		h.push(j, i)
		if latest = append(latest, j); len(latest) > 10 {
			latest[1].remove()
			s.give(latest[1])
			latest = slices.Delete(latest, 1, 2)
		}
	}
	if h.first() != latest[0] || !slices.Equal(slices.Collect(h.all), latest) {
		t.Errorf("of 10 jobs the heap has %d", h.len())
	}
	if room := len(h.run.pieces) * pieceSize; room > 1000 || len(s.chunks) > 10 {
		t.Errorf("10 jobs take room for %d in the heap and %d chunks of the slab", room, len(s.chunks))
	}
}
