package partition

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/gobellhop/bellhop"
)

// By says what routes a job to its part.
type By string

// The ways to route jobs.
const (
	// ByQueue: all jobs of a queue are in one part. Order within the queue and
	// unique keys within the queue are what one store promises.
	ByQueue By = "queue"
	// ByKey: the unique key routes a job, or its id if it has none. One queue is
	// spread over all parts, and a unique key is unique over all of them.
	ByKey By = "key"
)

// rest as a pinned word stands for all words that are not pinned themselves.
const rest = "*"

// router finds the part that a word belongs to: the word of a job is its queue,
// or its key or id; that of a record its space, or the tag in its key.
//
// The highest of the scores of all parts for the word wins (rendezvous hashing).
// So a part that is added takes over its share of the words, and a part that is
// removed gives its own away, and no other word moves. The order of the parts and
// their addresses do not matter, only their names.
type router struct {
	by    By
	names []string
	seeds []uint64
	pins  map[string]int
	rest  int // the part of what is not pinned, or -1
}

func (r *router) of(word string) int {
	if part, ok := r.pins[word]; ok {
		return part
	}
	if r.rest >= 0 {
		return r.rest
	}
	h, best, part := hash(word), uint64(0), 0
	for i, seed := range r.seeds {
		if score := mix(h ^ seed); score > best || i == 0 {
			best, part = score, i
		}
	}
	return part
}

// job returns the part that takes a job.
func (r *router) job(j *bellhop.Job) int {
	switch {
	case r.by == ByQueue:
		return r.of(j.Queue)
	case j.UniqueKey != "":
		return r.of(j.UniqueKey)
	}
	return r.of(j.ID.String())
}

// record returns the part that holds a record: that of the tag in its key, if the
// key has one, else that of its space. A tag stands between the first { and the
// next }, as in Redis Cluster: "{mail}/nightly" is where the queue mail is.
func (r *router) record(space, key string) int {
	if _, after, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(after, "}"); ok && tag != "" {
			return r.of(tag)
		}
	}
	return r.of(space)
}

// tag returns a word that leads to a part; "" if none does, and then no job does.
// Numbers first, so that it stays the same when pins are added.
func (r *router) tag(part int) string {
	for n := range 10_000 {
		if word := strconv.Itoa(n); r.of(word) == part {
			return word
		}
	}
	for _, word := range slices.Sorted(maps.Keys(r.pins)) {
		if r.pins[word] == part && word != "" && !strings.Contains(word, "}") {
			return word
		}
	}
	return ""
}

// hash is FNV-1a. It is part of the stored format: it says where jobs are.
func hash(word string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(word) {
		h = (h ^ uint64(word[i])) * 1099511628211
	}
	return h
}

// mix spreads the bits of a number over all of it (the finalizer of MurmurHash3).
func mix(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
