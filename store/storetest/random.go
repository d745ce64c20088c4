package storetest

import (
	"context"
	"flag"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
)

// randomBudget bounds the time of the random runs. The flag -rapid.checks,
// where it is given, says instead how many there are, however long they take.
const randomBudget = 4 * time.Second

// runRandom does the same random operations to the store and to a new
// [memory.Store], and compares all that can be seen after each. A run that
// fails is made as short as it can be, and can be repeated by its seed.
func runRandom(t *testing.T, h Harness) { runParts(t, h, randomParts) }

var randomParts = []part{{"against memory", randomRuns}}

func randomRuns(t testing.TB, h Harness) {
	bounded := true
	flag.Visit(func(f *flag.Flag) { bounded = bounded && f.Name != "rapid.checks" })
	ctx := budgeted(t)
	if !bounded {
		ctx = t.Context()
	}
	started, failed := time.Now(), false
	rapid.Check(t, func(rt *rapid.T) {
		// A run that has failed is repeated by rapid, and then must fail again.
		if bounded && !failed && time.Since(started) > randomBudget {
			return
		}
		failed = true
		m := newMachine(t, rt, h, ctx)
		defer func() { failed = failed && !m.void }()
		for range 3 { // longer runs than rapid's default, because a job's life has many steps
			rt.Repeat(map[string]func(*rapid.T){"": m.check, "step": m.step})
		}
		failed = false
	})
}

// machine is a random run: the store under test, the reference, and what is
// known of both.
type machine struct {
	*rapid.T
	ctx   context.Context
	h     Harness
	real  bellhop.Store
	ref   bellhop.Store
	clock *bellhop.ManualClock // of ref
	drift time.Duration        // of real's clock while a verb runs; 0 if it stands still
	void  bool                 // a verb took longer than drift: what was done then was done at two times

	made      int // ids and waits
	ids       []bellhop.ID
	asked     map[bellhop.ID]*bellhop.Job // as first enqueued
	processes []*proc
	claims    []bellhop.Claim // all that were made, the newest last
	outcomes  map[bellhop.Token]bellhop.Outcome
	exchanges []*bellhop.ExchangeRequest
	numbers   map[bellhop.ID]int64            // the newest claim of each job
	makers    map[bellhop.Token]bellhop.Token // of each job and number: the token
	versions  map[bellhop.Store]map[string]int64
}

// proc is a process of a random run.
type proc struct {
	bellhop.Process
	goneAt time.Time // zero until it has left or was swept
}

func newMachine(t testing.TB, rt *rapid.T, h Harness, ctx context.Context) *machine {
	m := &machine{
		T: rt, ctx: ctx, h: h, real: h.New(t), asked: map[bellhop.ID]*bellhop.Job{}, outcomes: map[bellhop.Token]bellhop.Outcome{},
		numbers: map[bellhop.ID]int64{}, makers: map[bellhop.Token]bellhop.Token{}, versions: map[bellhop.Store]map[string]int64{},
	}
	now := m.ping()
	for range 100 {
		before := now
		if now = m.ping(); !now.Equal(before) {
			m.drift = 400 * time.Millisecond
		}
	}
	m.clock = bellhop.NewManualClock(now) // not the first: a busy machine takes its time for a hundred
	m.ref = memory.New(memory.WithClock(m.clock))
	m.versions[m.real], m.versions[m.ref] = map[string]int64{}, map[string]int64{}
	m.processes = []*proc{m.process()}
	m.sendBeat(&bellhop.Beat{Process: m.processes[0].Process, Lease: 8 * time.Hour})
	rt.Cleanup(func() {
		_ = m.real.Close() // the harness closes it as well, and says what went wrong
		_ = m.ref.Close()
	})
	return m
}

func (m *machine) ping() time.Time {
	now, err := m.real.Ping(m.ctx)
	if err != nil {
		m.T.Fatalf("ping: %v", err)
	}
	return now
}

// advance moves both clocks on.
func (m *machine) advance(d time.Duration) {
	m.h.Advance(m.real, d)
	if ahead := m.ping().Sub(m.clock.Now()); ahead > 0 {
		m.clock.Advance(ahead)
	}
}

func (m *machine) now() time.Time { return m.clock.Now() }

// id makes an id that is the same whenever the run is repeated.
func (m *machine) id() bellhop.ID {
	m.made++
	return bellhop.IDFromKey("random", strconv.Itoa(m.made))
}

// wait draws a time that ends between two seconds, at another moment than all
// others, so that what comes first does not hang on the order of equals.
func (m *machine) wait() time.Duration {
	m.made++
	seconds := time.Duration(one(m, []int{0, 1, 2, 5, 20, 600}, "seconds")) * time.Second
	return seconds + 500*time.Millisecond + time.Duration(m.made%400)*time.Millisecond
}

func (m *machine) chance(percent int, what string) bool {
	return rapid.IntRange(0, 99).Draw(m.T, what) >= 100-percent
}

func (m *machine) upTo(n int, what string) int { return rapid.IntRange(0, n).Draw(m.T, what) }

// one draws an element, all about as often; rapid's own choice prefers the first.
func one[E any](m *machine, list []E, what string) E {
	return list[rapid.IntRange(0, len(list)-1).Draw(m.T, what)]
}

// pick draws at most n different elements, more often of the newest.
func pick[E any](m *machine, list []E, n int, what string) []E {
	recent := list[max(0, len(list)-12):]
	if m.chance(10, "any "+what) {
		recent = list
	}
	n = min(n, len(recent))
	if n == 0 {
		return nil
	}
	return slices.Clone(rapid.Permutation(recent).Draw(m.T, what)[:m.upTo(n, "count of "+what)])
}

// both makes one call of both stores. They must answer the same, up to norm.
func both[R any](m *machine, call func(s bellhop.Store) (R, error), norm func(R) R) (R, error) {
	m.Helper()
	want, wantErr := call(m.ref)
	got, gotErr := call(m.real)
	if w, g := errorKind(wantErr), errorKind(gotErr); w != g {
		m.Fatalf("error is %q (%v); want %q", g, gotErr, w)
	}
	if norm != nil {
		want, got = norm(want), norm(got)
	}
	if d := diff(want, got, m.drift); d != "" {
		m.Fatalf("want (-), got (+):\n%s", d)
	}
	return want, wantErr
}

// until makes a duration until something comparable: any that is negative is none.
func (m *machine) until(d time.Duration) time.Duration { return max(d, -1) }

// Fatalf ends the run, as one that says nothing if the machine stalled.
func (m *machine) Fatalf(format string, args ...any) {
	m.Helper()
	m.skipAfterStall()
	m.T.Fatalf(format, args...)
}

// skipAfterStall ends a run in which the store's clock went on by more than drift since both were at one time: leases and
// waits of both then end at times that cannot be compared.
func (m *machine) skipAfterStall() {
	if m.void = m.void || m.drift > 0 && m.ping().Sub(m.clock.Now()) >= m.drift; m.void {
		m.Skip("the machine stalled for longer than the times of both stores may differ")
	}
}

// check compares all that can be seen, and lets a second pass, so that no two
// verbs happen at one time.
func (m *machine) check(*rapid.T) {
	m.skipAfterStall()
	page := 1 + m.made%9
	want, err := look(m.ctx, m.ref, m.ids, page)
	if err != nil {
		m.Fatalf("the reference: %v", err)
	}
	got, err := look(m.ctx, m.real, m.ids, page)
	if err != nil {
		m.Fatalf("%v", err)
	}
	if d := diff(want, got, m.drift); d != "" {
		m.Fatalf("the stores differ, want (-), got (+):\n%s", d)
	}
	m.forget(got.Jobs)
	for i := range got.Jobs {
		j := &got.Jobs[i]
		if j.Place.Claim < m.numbers[j.ID] {
			m.Fatalf("X7: the claim number of job %s fell from %d to %d", j.ID, m.numbers[j.ID], j.Place.Claim)
		}
		m.numbers[j.ID] = j.Place.Claim
	}
	m.seen(m.real, got.Records)
	m.seen(m.ref, want.Records)
	m.advance(time.Second)
}

// forget ends what is known of the claims of jobs that are deleted: a job that
// is enqueued again under the same id begins anew.
func (m *machine) forget(left []bellhop.Snapshot) {
	there := map[bellhop.ID]bool{}
	for i := range left {
		there[left[i].ID] = true
	}
	maps.DeleteFunc(m.numbers, func(id bellhop.ID, _ int64) bool { return !there[id] })
	maps.DeleteFunc(m.makers, func(t, _ bellhop.Token) bool { return !there[t.JobID] })
}

// seen notes the versions of records, which never fall [C3].
func (m *machine) seen(s bellhop.Store, records []bellhop.Record) {
	for _, r := range records {
		if r.Version < m.versions[s][r.Key] || r.Version <= 0 {
			m.Fatalf("C3: record %q has version %d after %d", r.Key, r.Version, m.versions[s][r.Key])
		}
		m.versions[s][r.Key] = r.Version
	}
}

// claimed notes claims; none is made twice, by another exchange [X7].
func (m *machine) claimed(claims []bellhop.Claim) {
	for _, c := range claims {
		key := bellhop.Token{JobID: c.Token.JobID, Number: c.Token.Number}
		maker, known := m.makers[key]
		if known && maker != c.Token {
			m.Fatalf("X7: claim %d of job %s was made by two exchanges", c.Token.Number, c.Token.JobID)
		}
		if !known {
			m.makers[key] = c.Token
			m.claims = append(m.claims, c)
		}
	}
}

// step does one operation; those of the hot path come up more often.
func (m *machine) step(*rapid.T) {
	ops := []struct {
		name   string
		weight int
		run    func()
	}{
		{"exchange", 7, m.exchange},
		{"enqueue", 4, m.enqueue},
		{"repeat", 3, m.repeatExchange},
		{"beat", 3, m.beat},
		{"report", 3, m.report},
		{"promote", 3, m.promote},
		{"sweep", 3, m.sweep},
		{"wait", 3, m.pass},
		{"act", 3, m.actByID},
		{"act by filter", 1, m.actByFilter},
		{"prune", 1, m.prune},
		{"pause", 1, m.pause},
		{"put", 2, m.put},
		{"list", 1, m.list},
		{"stats", 1, m.stats},
		{"records", 1, m.records},
	}
	total := 0
	for _, op := range ops {
		total += op.weight
	}
	at := rapid.IntRange(0, total-1).Draw(m.T, "operation")
	for _, op := range ops {
		if at -= op.weight; at < 0 {
			m.Logf("-- %s", op.name)
			op.run()
			return
		}
	}
}
