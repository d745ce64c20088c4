package rollup

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
)

// counting is a store that counts the records of clients that it hands over.
type counting struct {
	bellhop.Store
	mu sync.Mutex
	n  int
}

func (c *counting) Records(ctx context.Context, q *bellhop.RecordQuery) ([]bellhop.Record, error) {
	list, err := c.Store.Records(ctx, q)
	if q.Space == bellhop.EnqueuedSpace {
		c.mu.Lock()
		c.n += len(list)
		c.mu.Unlock()
	}
	return list, err
}

// An hour is read in several calls at once, and each reads its part of it.
func TestAnHourIsReadOnce(t *testing.T) {
	const minutes, clients = 60, 4
	s := &counting{Store: memory.New()}
	var places []place
	for i := range minutes {
		at := begin.Add(time.Duration(i) * time.Minute)
		places = append(places, place{"eq0", at}, place{"ea", at})
		for c := range clients {
			key := at.UTC().Format(windowForm) + fmt.Sprintf("/%d", c)
			err := s.Put(t.Context(), []bellhop.RecordWrite{
				{Space: bellhop.EnqueuedSpace, Key: enqueuedInAll + key, Value: []byte(" k=1\n"), Expect: bellhop.ExpectAny},
				{Space: bellhop.EnqueuedSpace, Key: enqueuedInQueues + key, Value: []byte("q k=1\n"), Expect: bellhop.ExpectAny},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	found, err := levels[0].read(t.Context(), s, places, readsAtOnce)
	if err != nil {
		t.Fatal(err)
	}
	for i := range minutes {
		if n := len(found[place{"ea", begin.Add(time.Duration(i) * time.Minute)}]); n != clients {
			t.Errorf("of minute %d there are %d records, want %d", i, n, clients)
		}
	}
	if most := 2 * minutes * clients * 5 / 4; s.n > most {
		t.Errorf("%d records were read, want %d or a few more", s.n, 2*minutes*clients)
	}
}

func TestEnqueuedJobsAreCountedToo(t *testing.T) {
	w := newWorld(t)
	p := w.start(0)
	put := func(client string, value map[string]map[string]int64) {
		t.Helper()
		var queues []byte
		over := map[string]int64{}
		line := func(queue string, kinds map[string]int64) (b []byte) {
			b = append(b, queue...)
			for kind, n := range kinds {
				b = fmt.Appendf(b, " %s=%d", kind, n)
			}
			return append(b, '\n')
		}
		for queue, kinds := range value {
			queues = append(queues, line(queue, kinds)...)
			for kind, n := range kinds {
				over[kind] += n
			}
		}
		key := "/" + w.clock.Now().UTC().Truncate(time.Minute).Format(windowForm) + "/" + client
		err := w.store.Put(t.Context(), []bellhop.RecordWrite{
			{Space: bellhop.EnqueuedSpace, Key: "all" + key, Value: line("", over), Expect: bellhop.ExpectAny, TTL: 4 * time.Hour},
			{Space: bellhop.EnqueuedSpace, Key: "queues" + key, Value: queues, Expect: bellhop.ExpectAny, TTL: 4 * time.Hour},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	check := func(ago time.Duration) {
		t.Helper()
		now := w.clock.Now()
		for s, want := range map[Series]int64{{}: 72, {Queue: "mail"}: 48, {Kind: "a"}: 48, {Queue: "mail", Kind: "b"}: 24} {
			chart, err := w.reader().Chart(t.Context(), w.rangeOf(now.Add(-ago), now, 0), s)
			if err != nil || chart.Total.Enqueued != want {
				t.Errorf("%v, %+v: %d, %v; want %d", ago, s, chart.Total.Enqueued, err, want)
			}
		}
		rng := w.rangeOf(now.Add(-ago), now, 0)
		for _, q := range []TableQuery{{}, {Limit: 9, Order: ByTime}, {Only: Series{Kind: "a"}}, {By: ByQueue}, {By: ByKind}, {By: ByKind, Limit: 1}, {Only: Series{Queue: "mail"}}} {
			table, err := w.reader().Table(t.Context(), rng, q)
			got := map[Series]int64{}
			for _, row := range table.Rows {
				got[row.Series] = row.Enqueued
			}
			want := map[Series]int64{{"mail", "a"}: 24, {"mail", "b"}: 24, {"slow", "a"}: 24}
			switch {
			case q.Only.Kind != "":
				delete(want, Series{"mail", "b"})
			case q.Only.Queue != "":
				delete(want, Series{"slow", "a"})
			case q.By == ByQueue:
				want = map[Series]int64{{Queue: "mail"}: 48, {Queue: "slow"}: 24}
			case q.Limit == 1:
				want = map[Series]int64{{Kind: "a"}: 48}
			case q.By == ByKind:
				want = map[Series]int64{{Kind: "a"}: 48, {Kind: "b"}: 24}
			}
			if err != nil || !maps.Equal(got, want) {
				t.Errorf("%v, %+v: %v, %v; want %v", ago, q, got, err, want)
			}
		}
		counts, err := w.reader().Counts(t.Context(), rng, CountsQuery{}) // of attempts alone
		if err != nil || len(counts) != 1 || counts[0].Total != (Counts{Succeeded: 1}) {
			t.Errorf("%v: the counts are %+v, %v; want those of one attempt", ago, counts, err)
		}
	}
	for minute := range 24 { // no worker has counted anything in most of them
		put("c1", map[string]map[string]int64{"mail": {"a": 1, "b": 1}})
		put("c2", map[string]map[string]int64{"slow": {"a": 1}})
		if minute == 3 {
			p.job("mail", "a", bellhop.OutcomeSucceeded, time.Second, time.Second, nil)
		}
		if err := p.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(time.Minute)
	}
	check(time.Hour)
	w.clock.Advance(time.Hour)
	for range 5 {
		w.clock.Advance(mergeSpread)
		if err := p.Merge(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	check(150 * time.Minute)
	w.clock.Advance(5 * time.Hour) // the minutes have expired
	check(24 * time.Hour)
}
