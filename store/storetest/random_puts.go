package storetest

import (
	"errors"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/gobellhop/bellhop"
)

var randomRecords = []string{"one", "two", "three"}

func (m *machine) records() {
	q := &bellhop.RecordQuery{
		Space: viewSpace, Prefix: one(m, []string{"", "t", "th", "%"}, "prefix"),
		After: one(m, []string{"", "one", "p"}, "after"), Limit: m.upTo(2, "limit"),
	}
	if m.chance(30, "by key") {
		q.Keys, q.Prefix = pick(m, append([]string{"none"}, randomRecords...), 3, "keys"), ""
	}
	_, _ = both(m, func(s bellhop.Store) ([]bellhop.Record, error) { return s.Records(m.ctx, q) }, nil)
}

// write is a [bellhop.RecordWrite] whose version each store knows by itself.
type write struct {
	bellhop.RecordWrite
	newest bool // expects the newest version that was seen
	wrong  bool // expects one that was never there
}

func (m *machine) writes() (list []write) {
	for _, key := range rapid.Permutation(randomRecords).Draw(m.T, "records")[:1+m.upTo(1, "more")] {
		w := write{RecordWrite: bellhop.RecordWrite{Space: viewSpace, Key: key}}
		switch one(m, []string{"any", "any", "none", "newest", "newest", "wrong"}, "expect") {
		case "any":
			w.Expect = bellhop.ExpectAny
		case "newest":
			w.newest = true
		case "wrong":
			w.wrong = true
		}
		switch one(m, []string{"set", "set", "set", "delete", "check"}, "write") {
		case "set":
			w.Value = []byte(strings.Repeat(key, m.upTo(2, "value")))
			w.TTL = one(m, []time.Duration{0, 0, 2500 * time.Millisecond, 1500 * time.Second}, "ttl")
		case "delete":
			w.Delete = true
		case "check":
			w.Check = true
		}
		list = append(list, w)
	}
	return list
}

// puts are the writes with the versions of one store.
func (m *machine) puts(s bellhop.Store, writes []write) (puts []bellhop.RecordWrite) {
	for _, w := range writes {
		if w.newest || w.wrong {
			w.Expect = m.versions[s][w.Key]
		}
		if w.wrong && w.Expect > 0 {
			w.Expect = 1<<40 + w.Expect
		}
		puts = append(puts, w.RecordWrite)
	}
	return puts
}

// written checks that a write that was applied has raised its record's version [C3].
func (m *machine) written(writes []write, err error) {
	if err != nil && !errors.Is(err, bellhop.ErrProcessGone) {
		return
	}
	for _, w := range writes {
		if w.Check || w.Delete {
			continue
		}
		for _, s := range []bellhop.Store{m.ref, m.real} {
			found, err := s.Records(m.ctx, &bellhop.RecordQuery{Space: viewSpace, Keys: []string{w.Key}})
			if err != nil || len(found) != 1 || found[0].Version <= m.versions[s][w.Key] {
				m.Fatalf("C3: after a write record %q is %+v, its version was %d (%v)", w.Key, found, m.versions[s][w.Key], err)
			}
			m.versions[s][w.Key] = found[0].Version
		}
	}
}

func (m *machine) put() {
	writes := m.writes()
	_, err := both(m, func(s bellhop.Store) (struct{}, error) { return struct{}{}, s.Put(m.ctx, m.puts(s, writes)) }, nil)
	m.written(writes, err)
}
