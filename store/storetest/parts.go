package storetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/gobellhop/bellhop"
)

// A store that is made of several parts ([bellhop.Router]) keeps each clause within a
// part. So the tests of the clauses place their jobs in one, and this file has the
// tests of what holds over all parts. Random runs, faults and races know nothing of
// parts; they want a store whose jobs all lie in one.

// place gives a job an id, and a unique key if it has one, with which it lies in the
// part where the records of the tests are.
func (t *try) place(j *bellhop.Job) *bellhop.Job {
	r, ok := bellhop.As[bellhop.Router](t.s)
	if !ok {
		return j
	}
	home := r.Home(viewSpace, "")
	plain := *j
	plain.UniqueKey = ""
	for n := 0; r.Route(&plain) != home; n++ {
		if n == 10_000 {
			t.Skip("the store leads the tests' queues into several parts")
		}
		plain.ID = bellhop.NewID()
	}
	j.ID = plain.ID
	key := j.UniqueKey
	for n := 0; key != "" && r.Route(j) != home; n++ {
		j.UniqueKey = fmt.Sprintf("%.500s~%d", key, n)
	}
	return j
}

// spaceBeside returns another space in which the record lies where it lies in the tests' own.
func (t *try) spaceBeside(key string) string {
	space := "other"
	if r, ok := bellhop.As[bellhop.Router](t.s); ok {
		for n := 0; r.Home(space, key) != r.Home(viewSpace, key); n++ {
			space = fmt.Sprintf("other %d", n)
		}
	}
	return space
}

// spread reports whether jobs that differ in nothing but their id lie in several parts of the store.
func spread(s bellhop.Store) bool {
	r, ok := bellhop.As[bellhop.Router](s)
	if !ok {
		return false
	}
	for n := range 1000 {
		j := bellhop.Job{ID: bellhop.IDFromKey("spread", fmt.Sprint(n)), Queue: testQueue}
		if r.Route(&j) != r.Home(viewSpace, "") {
			return true
		}
	}
	return false
}

// byPart returns the jobs in as many calls as the store has parts for them.
func byPart(s bellhop.Store, jobs []*bellhop.Job) [][]*bellhop.Job {
	r, ok := bellhop.As[bellhop.Router](s)
	if !ok {
		return [][]*bellhop.Job{jobs}
	}
	calls := make([][]*bellhop.Job, len(r.Parts()))
	for _, j := range jobs {
		at := r.Route(j)
		calls[at] = append(calls[at], j)
	}
	return slices.DeleteFunc(calls, func(own []*bellhop.Job) bool { return len(own) == 0 })
}

// inOnePart is a harness for tests that know nothing of parts.
func inOnePart(h Harness) Harness {
	whole := h
	whole.New = func(t testing.TB) bellhop.Store {
		s := h.New(t)
		if spread(s) {
			t.Skip("the store spreads jobs over several parts; a run with all of them in one part covers this")
		}
		return s
	}
	return whole
}

// runWhole runs parts of the suite that know nothing of a store's parts.
func runWhole(run func(t *testing.T, h Harness)) func(t *testing.T, h Harness) {
	return func(t *testing.T, h Harness) { run(t, inOnePart(h)) }
}
