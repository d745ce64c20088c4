package postgres

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// What becomes ready while an exchange looks, and is told of, is found by the
// next: where that look ended does not count any more.
func TestBoundsForgottenMeanwhile(t *testing.T) {
	r := &bellhop.ExchangeRequest{Kinds: []string{"a"}, Limit: 5, Wants: []bellhop.Want{{Queue: "q", Count: 5}}}
	fromHead := func(k *looks) bool { return k.dues[0] == head.due }
	for _, queue := range []string{"q", ""} {
		l := &lanes{}
		first := l.begin(r, false)
		l.end(first, &sqlstore.Exchanged{Now: 1e15}, r.Limit, time.Hour)
		second := l.begin(r, false)
		if !fromHead(first) || fromHead(second) {
			t.Fatal("the first look is to be a full one, the second not")
		}
		l.forget(queue)
		l.end(second, &sqlstore.Exchanged{Now: 1e15}, r.Limit, time.Hour)
		if !fromHead(l.begin(r, false)) {
			t.Errorf("told of %q during a look, the next passes over what came", queue)
		}
	}
}

// Nothing is known of a queue from which nothing came while one was paused.
func TestBoundsBesideAPause(t *testing.T) {
	r := &bellhop.ExchangeRequest{Kinds: []string{"a"}, Limit: 5, Wants: []bellhop.Want{{Queue: "q", Count: 5}}}
	l := &lanes{}
	l.end(l.begin(r, false), &sqlstore.Exchanged{Now: 1e15, Paused: 1}, r.Limit, time.Hour)
	if l.begin(r, false).dues[0] != head.due {
		t.Error("jobs of a queue that was paused are passed over")
	}
}

// While one exchange makes the full look at a queue, those beside it go by the bounds. When it fails another one makes it.
func TestOneFullLookAtATime(t *testing.T) {
	r := &bellhop.ExchangeRequest{Kinds: []string{"a"}, Limit: 5, Wants: []bellhop.Want{{Queue: "q", Count: 5}}}
	l := &lanes{}
	first, second := l.begin(r, false), l.begin(r, false)
	if !first.full[0] || second.full[0] {
		t.Errorf("of two looks at once full are %v and %v", first.full, second.full)
	}
	l.end(first, nil, r.Limit, time.Second)
	if third := l.begin(r, false); !third.full[0] {
		t.Error("nobody makes the full look that has failed")
	}
}

// What began before a full look has ended may have passed over what that has found, and moves no bounds.
func TestBoundsOfAnOlderLook(t *testing.T) {
	r := &bellhop.ExchangeRequest{Kinds: []string{"a"}, Limit: 1, Wants: []bellhop.Want{{Queue: "q", Count: 1}}}
	l := &lanes{}
	full, other := l.begin(r, false), l.begin(r, false)
	found := &sqlstore.Exchanged{Now: 1e15, Jobs: []int64{7}, Claims: []bellhop.Claim{{Job: &bellhop.Job{Queue: "q"}, Place: bellhop.Place{Due: time.UnixMicro(70)}}}}
	l.end(full, found, r.Limit, time.Hour)
	l.end(other, &sqlstore.Exchanged{Now: 1e15}, r.Limit, time.Second)
	if at := l.begin(r, false).dues[-bellhop.MinPriority]; at != 70 {
		t.Errorf("the bound is at %d after a full look that has claimed what was due at 70", at)
	}
}

// Where a lane begins is shared each time that enough was claimed from it, and not before.
func TestHeadsAreSharedAfterManyClaims(t *testing.T) {
	const each = 1000
	r := &bellhop.ExchangeRequest{Kinds: []string{"a"}, Limit: each, Wants: []bellhop.Want{{Queue: "q", Count: each}}}
	l, done := &lanes{}, &sqlstore.Exchanged{Now: 1e15}
	for i := range each {
		done.Jobs = append(done.Jobs, int64(i))
		done.Claims = append(done.Claims, bellhop.Claim{Job: &bellhop.Job{Queue: "q", Priority: 2}, Place: bellhop.Place{Due: time.UnixMicro(70)}})
	}
	for i := 1; i <= 2*shareEvery/each; i++ {
		heads := l.end(l.begin(r, false), done, r.Limit, time.Second)
		switch name := headNames(laneSet{"q", "a"})[2-bellhop.MinPriority]; {
		case i%(shareEvery/each) == 0 && (len(heads) != 1 || heads[name] != 70):
			t.Errorf("after %d claims the heads %v are shared, want 70 as %s", i*each, heads, name)
		case i%(shareEvery/each) != 0 && len(heads) > 0:
			t.Errorf("after %d claims %v is shared", i*each, heads)
		}
	}
}

// biteOf returns the next bite of what is wanted, however soon that is, as the last of those that are made at once.
func biteOf(l *lanes, r *bellhop.ExchangeRequest) *bite {
	for _, b := range l.m {
		b.nextLook = time.Time{}
	}
	t := l.beginBite(r)
	if t != nil {
		t.began = time.Time{}
	}
	return t
}

// longBite is what a bite takes in microseconds, so that a round of several takes too long for one look.
const longBite = int64(longLook / time.Microsecond / 2)

// Bites follow each other from the bound to the beginning, without a gap and without an overlap; then another round
// begins. Where there is much to walk over they become narrow. What one finds takes the bound back.
func TestBites(t *testing.T) {
	r := &bellhop.ExchangeRequest{Kinds: []string{"a"}, Limit: 1, Wants: []bellhop.Want{{Queue: "q", Count: 1}}}
	l, now := &lanes{}, time.Now().UnixMicro()
	set := laneSet{"q", "a"}
	l.learn([]laneSet{set}, sharedHeads{headNames(set)[0]: now, headNames(set)[3]: now - 2e6})
	again := func() *bite { return biteOf(l, r) }
	for round := range 2 {
		next, bites := now+1, 0
		for ; next > 0; bites++ {
			b := again()
			if b == nil || again() != nil {
				t.Fatal("there is no bite, or a second one at the same time")
			}
			for i, p := range b.priorities {
				if bound := l.m[set].at[p-bellhop.MinPriority]; int64(b.dues[i]) != min(next-1, bound.due) {
					t.Fatalf("a bite looks at priority %d up to %d; the bound is %d, the last bite came to %d", p, b.dues[i], bound.due, next)
				}
			}
			took := int64(0)
			if next = b.from; next == 0 {
				took = 2 * longBite
			}
			if l.endBite(b, nil, took+1, false) != nil {
				t.Fatal("bites go on when their time is over")
			}
		}
		if bites < 5 || bites > 20 {
			t.Errorf("round %d has %d bites", round, bites)
		}
	}

	b := again()
	l.endBite(b, map[int]position{0: {now - 500, 9}}, 1, false)
	if at := l.m[set].at[0]; at != (position{now - 500, 8}) {
		t.Errorf("the bound is at %v after a bite has found job 9", at)
	}
	b = again()
	width := l.m[set].width
	l.endBite(b, nil, 10*biteTime.Microseconds(), false)
	if got := l.m[set].width; got != width/8 {
		t.Errorf("after a bite that took long the next is %d µs wide; it was %d", got, width)
	}
	b = again()
	l.endBite(b, nil, 0, true)
	if again().from < b.from {
		t.Error("after a bite that has failed the next is no narrower")
	}
	l.missed()
	if b := again(); b == nil || int64(b.dues[len(b.dues)-1]) < now-2e6 {
		t.Error("when notifications may have been missed no round begins anew")
	}
}

// However much was claimed, looks go from the head as long as they are short, so that what becomes ready there is found soon. Bites
// are made after one that took long, until a round of them was short.
func TestBitesAreForLongLooks(t *testing.T) {
	r := &bellhop.ExchangeRequest{Kinds: []string{"a"}, Limit: 1, Wants: []bellhop.Want{{Queue: "q", Count: 1}}}
	l, set := &lanes{}, laneSet{"q", "a"}
	look := func(took time.Duration) (full bool) {
		l.of(set).nextLook = time.Time{}
		k := l.begin(r, false)
		l.end(k, &sqlstore.Exchanged{Now: 1e15}, r.Limit, took)
		return k.full[0]
	}
	look(time.Millisecond)
	l.m[set].claimed[0] = shareEvery
	if look(time.Millisecond); l.m[set].claimed[0] != 0 || !look(time.Millisecond) || biteOf(l, r) != nil {
		t.Error("bites are made although full looks are short")
	}
	look(longLook + 1)
	for _, long := range []bool{true, false} {
		if look(time.Millisecond) {
			t.Fatal("full looks go on although one took long, or bites did")
		}
		for b := biteOf(l, r); b.from > 0; b = biteOf(l, r) {
			l.endBite(b, nil, 1, false)
		}
		l.m[set].looking = nil
		b, took := biteOf(l, r), int64(1)
		if long {
			took = 2 * longBite
		}
		l.endBite(b, nil, took+1, false)
	}
	if !look(time.Millisecond) {
		t.Error("bites go on although a round of them was short")
	}
}

// While there is time an exchange makes several bites, a whole round if that is short; none after one that has found something or failed.
func TestBitesAtOnce(t *testing.T) {
	r := &bellhop.ExchangeRequest{Kinds: []string{"a"}, Limit: 1, Wants: []bellhop.Want{{Queue: "q", Count: 1}}}
	now, set := time.Now(), laneSet{"q", "a"}
	round := func() (*lanes, *bite) {
		l := &lanes{}
		l.learn([]laneSet{set}, sharedHeads{headNames(set)[0]: now.UnixMicro()})
		b := biteOf(l, r)
		b.began = now.Add(time.Hour) // there is time
		return l, b
	}
	l, b := round()
	for n := 0; b != nil; n++ {
		if n > 20 {
			t.Fatal("a round has no end")
		}
		from := b.from
		if b = l.endBite(b, nil, 1, false); b == nil && from > 0 {
			t.Error("a bite is left for later although there is time")
		}
	}
	l, b = round()
	if l.endBite(b, map[int]position{0: {b.from, 1}}, 1, false) != nil {
		t.Error("what was found waits for more bites")
	}
	l, b = round()
	if l.endBite(b, nil, 1, true) != nil {
		t.Error("a bite that has failed is followed by another at once")
	}
}

// The bound goes back to what a bite has found, also if an exchange that began before it ends after it.
func TestBoundsOfALookBesideABite(t *testing.T) {
	r := &bellhop.ExchangeRequest{Kinds: []string{"a"}, Limit: 1, Wants: []bellhop.Want{{Queue: "q", Count: 1}}}
	l, set := &lanes{}, laneSet{"q", "a"}
	l.learn([]laneSet{set}, sharedHeads{headNames(set)[0]: 1e15})
	other := l.begin(r, false)
	l.endBite(biteOf(l, r), map[int]position{0: {1e15 - 500, 9}}, 1, false)
	l.end(other, &sqlstore.Exchanged{Now: 2e15}, r.Limit, time.Second)
	if at := l.begin(r, false).dues[0]; at != 1e15-500 {
		t.Errorf("claims begin at %d, where the job that a bite has found at %d is passed over", at, int64(1e15-500))
	}
}

// Of several queues the one that has waited longest has its bite, so that each has its turn, however rarely they are asked.
func TestBitesOfManyQueues(t *testing.T) {
	r := &bellhop.ExchangeRequest{Kinds: []string{"a"}, Limit: 1}
	l := &lanes{}
	for i, queue := range []string{"p", "q", "r"} {
		r.Wants = append(r.Wants, bellhop.Want{Queue: queue, Count: 1})
		set := laneSet{queue, "a"}
		l.learn([]laneSet{set}, sharedHeads{headNames(set)[0]: 1e15})
		l.m[set].nextLook = time.Now().Add(time.Duration(i-9) * time.Hour)
	}
	l.m[laneSet{"p", "a"}].nextLook = time.Now().Add(-time.Hour)
	if b := l.beginBite(r); b.queue != "q" {
		t.Errorf("the next bite is of %q; it is the turn of q", b.queue)
	}
}

// A full look that is called for and fails is made by the next exchange, unless it took so long that it may never end.
func TestFullLookThatFails(t *testing.T) {
	r := &bellhop.ExchangeRequest{Kinds: []string{"a"}, Limit: 1, Wants: []bellhop.Want{{Queue: "q", Count: 1}}}
	for took, want := range map[time.Duration]bool{time.Millisecond: true, biteLimit: false} {
		l, set := &lanes{}, laneSet{"q", "a"}
		l.learn([]laneSet{set}, sharedHeads{headNames(set)[0]: 1e15})
		l.forget("q")
		l.end(l.begin(r, false), nil, r.Limit, took)
		if k := l.begin(r, false); k.full[0] != want {
			t.Errorf("after one that failed in %v the next look is full: %v", took, k.full[0])
		}
	}
}

// Servers tell an error's severity in their own language as well.
func TestCertainInAnyLanguage(t *testing.T) {
	for err, want := range map[*pgconn.PgError]bool{
		{Severity: "FEHLER", SeverityUnlocalized: "ERROR"}: true,
		{Severity: "ERROR"}: true,
		{Severity: "FATAL", SeverityUnlocalized: "FATAL"}: false,
	} {
		if certain(err) != want {
			t.Errorf("%+v: certain is %v", err, !want)
		}
	}
}
