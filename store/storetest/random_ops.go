package storetest

import (
	"errors"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/gobellhop/bellhop"
)

var (
	randomQueues = []string{"a", "b", "c"}
	randomKinds  = []string{"kind.x", "kind.y"}
	randomKeys   = []string{"", "", "", "key 1", "key 2", "key 3"}
	randomTags   = [][]string{nil, nil, {"blue"}, {"blue", "red"}}
	randomArgs   = []string{`{}`, `{"to":"grüße@例え.jp"}`, `{"n":9007199254740993}`, ` [1, 2 ] `, `"a%b_c\\"`}
)

// job draws a new job.
func (m *machine) job() *bellhop.Job {
	j := &bellhop.Job{
		ID:        m.id(),
		Kind:      one(m, randomKinds, "kind"),
		Queue:     one(m, randomQueues, "queue"),
		Priority:  one(m, []int{0, 0, 0, bellhop.MinPriority, 3}, "priority"),
		Args:      []byte(one(m, randomArgs, "arguments")),
		Attempts:  rapid.IntRange(1, 3).Draw(m.T, "attempts"),
		Timeout:   time.Duration(m.upTo(1, "timeout")) * time.Minute,
		UniqueKey: one(m, randomKeys, "unique key"),
		Tags:      one(m, randomTags, "tags"),
		Retention: one(m, []time.Duration{0, 0, time.Second, time.Hour, bellhop.Forever}, "retention"),
	}
	if m.chance(20, "metadata") {
		j.Meta = map[string]string{"tenant": "t1", "ключ": "значение"}
	}
	switch m.upTo(5, "when") {
	case 1:
		j.Delay = m.wait()
	case 2:
		j.RunAt = m.now().Add(m.wait())
	case 3:
		j.RunAt = m.now().Add(-m.wait())
	}
	return j
}

func (m *machine) enqueue() {
	var jobs []*bellhop.Job
	puts := m.chance(15, "with puts")
	for range 1 + m.upTo(3, "jobs") {
		var j *bellhop.Job
		if len(m.ids) > 0 && m.chance(20, "repeat a job") {
			again := *m.asked[one(m, m.ids, "job")]
			if !puts && m.chance(10, "change it") { // else there would be two reasons to refuse
				again.Args = []byte(`"other"`)
			}
			j = &again
		} else {
			j = m.job()
			m.ids = append(m.ids, j.ID)
			m.asked[j.ID] = j
		}
		jobs = append(jobs, j)
	}
	var writes []write
	if puts {
		writes = m.writes()
	}
	_, err := both(m, func(s bellhop.Store) ([]bellhop.Receipt, error) {
		return s.Enqueue(m.ctx, &bellhop.EnqueueRequest{Jobs: jobs, Puts: m.puts(s, writes)})
	}, nil)
	m.written(writes, err)
}

// outcome draws what an attempt came to.
func (m *machine) outcome(c *bellhop.Claim) bellhop.Outcome {
	r := bellhop.Return{Started: m.now(), Ended: m.now()}
	switch one(m, []string{"nil", "nil", "nil", "error", "error", "snooze", "discard", "dead", "cancelled", "handed back"}, "outcome") {
	case "nil":
		r.Result = [][]byte{nil, []byte(`{"id":1}`)}[m.upTo(1, "result")]
	case "error":
		r.Err = bellhop.RetryAfter(m.wait(), errors.New("it failed"))
	case "snooze":
		r.Err = bellhop.Snooze(m.wait())
	case "discard":
		r.Err = bellhop.Discard(errors.New("not needed"))
	case "dead":
		r.Err = bellhop.Dead(errors.New("no use"))
	case "cancelled":
		r.Err, r.Cause = errors.New("stopped"), bellhop.ErrCancelled
	case "handed back":
		return c.HandBack("not started")
	}
	o := c.Settle(bellhop.Policy{}, r)
	if m.chance(20, "log") {
		o.Log = []byte(`{"trace":"7"}`)
	}
	return o
}

// outcomeOf draws the outcome of a claim, or a repeat of its outcome.
func (m *machine) outcomeOf(c *bellhop.Claim) bellhop.Outcome {
	if o, ok := m.outcomes[c.Token]; ok && m.chance(60, "repeat the outcome") {
		return o
	}
	o := m.outcome(c)
	if m.chance(5, "tamper with the token") {
		o.Token = m.tampered(o.Token)
		return o
	}
	if _, ok := m.outcomes[c.Token]; !ok {
		m.outcomes[c.Token] = o
	}
	return o
}

func (m *machine) tampered(t bellhop.Token) bellhop.Token {
	if m.chance(50, "number") {
		t.Number += int64(m.upTo(2, "more")) - 1
	} else {
		t.Exchange = m.id()
	}
	return t
}

func (m *machine) exchange() {
	r := &bellhop.ExchangeRequest{ID: m.id(), Limit: 6 - m.upTo(6, "limit")}
	if m.chance(95, "claim") {
		r.Process = one(m, m.processes[max(0, len(m.processes)-3):], "process").ID
	}
	for _, c := range pick(m, m.claims, 5, "claims") {
		r.Outcomes = append(r.Outcomes, m.outcomeOf(&c))
	}
	if m.chance(5, "an outcome twice") && len(r.Outcomes) > 0 {
		r.Outcomes = append(r.Outcomes, r.Outcomes[0])
	}
	for _, q := range rapid.Permutation(randomQueues).Draw(m.T, "queues")[m.upTo(3, "unwanted"):] {
		r.Wants = append(r.Wants, bellhop.Want{Queue: q, Count: 4 - m.upTo(4, "count")})
	}
	r.Kinds = slices.Clone(randomKinds)
	if m.chance(20, "one kind") {
		r.Kinds = r.Kinds[m.upTo(1, "which"):][:1]
	}
	var writes []write
	if m.chance(10, "with puts") {
		writes = m.writes()
	}
	m.send(r, writes)
	if len(writes) == 0 {
		m.exchanges = append(m.exchanges, r)
	}
}

// repeatExchange sends an exchange again, as after a lost reply.
func (m *machine) repeatExchange() {
	if list := pick(m, m.exchanges, 2, "exchanges"); len(list) > 0 {
		m.send(list[0], nil)
	}
}

func (m *machine) send(r *bellhop.ExchangeRequest, writes []write) *bellhop.ExchangeReply {
	reply, err := both(m, func(s bellhop.Store) (*bellhop.ExchangeReply, error) {
		own := *r
		own.Puts = m.puts(s, writes)
		return s.Exchange(m.ctx, &own)
	}, func(reply *bellhop.ExchangeReply) *bellhop.ExchangeReply {
		if reply != nil {
			reply.Signals.Cancel = sortTokens(reply.Signals.Cancel)
			reply.Signals.NextDue = m.until(reply.Signals.NextDue)
			slices.Sort(reply.Signals.Paused)
		}
		return reply
	})
	m.written(writes, err)
	if reply != nil {
		m.claimed(reply.Claims)
	}
	return reply
}

func (m *machine) report() {
	var reports []bellhop.Report
	for _, c := range pick(m, m.claims, 3, "claims") {
		r := bellhop.Report{Token: c.Token, Started: m.chance(50, "started")}
		if m.chance(50, "progress") {
			r.Progress = []byte(`{"done":` + string(rune('0'+m.upTo(9, "done"))) + `}`)
		}
		if m.chance(10, "tamper with the token") {
			r.Token = m.tampered(r.Token)
		}
		reports = append(reports, r)
	}
	if len(reports) > 0 {
		_, _ = both(m, func(s bellhop.Store) ([]bellhop.Refusal, error) { return s.Report(m.ctx, reports) }, nil)
	}
}

func (m *machine) beat() {
	p := m.process()
	if len(m.processes) > 1 && !m.chance(15, "new process") {
		p = one(m, m.processes, "process")
	} else {
		m.processes = append(m.processes, p)
	}
	if !p.goneAt.IsZero() && m.now().Sub(p.goneAt) > 23*time.Hour {
		return // a store may have forgotten it
	}
	p.Busy = m.upTo(3, "busy")
	b := &bellhop.Beat{
		Process: p.Process, Leave: m.chance(5, "leave"),
		Lease: one(m, []time.Duration{time.Hour, 5500 * time.Millisecond}, "lease"),
	}
	for _, c := range pick(m, m.claims, 4, "held") {
		b.Held = append(b.Held, c.Token)
	}
	m.sendBeat(b)
}

// process makes a process.
func (m *machine) process() *proc {
	return &proc{Process: bellhop.Process{
		ID: m.id(), Name: "p", Host: "host", PID: m.made, Version: "1", StartedAt: m.now(), Queues: []string{"a"}, Kinds: randomKinds, Slots: 3,
	}}
}

func (m *machine) sendBeat(b *bellhop.Beat) {
	_, _ = both(m, func(s bellhop.Store) (*bellhop.BeatReply, error) { return s.Beat(m.ctx, b) }, func(r *bellhop.BeatReply) *bellhop.BeatReply {
		if r != nil {
			r.Idle, r.NextDue = false, 0 // a store may leave these out, and clause B6 has a test
			r.Lost, r.Extra, r.Cancel = sortTokens(r.Lost), sortClaims(r.Extra), sortTokens(r.Cancel)
		}
		return r
	})
	m.lookForGone()
}

// lookForGone notes the processes that are gone, and when.
func (m *machine) lookForGone() {
	alive, err := m.ref.Processes(m.ctx)
	if err != nil {
		m.Fatalf("the reference: %v", err)
	}
	for _, p := range m.processes {
		if p.goneAt.IsZero() && !slices.ContainsFunc(alive, func(s bellhop.ProcessStatus) bool { return s.ID == p.ID }) {
			p.goneAt = m.now()
		}
	}
}

// sweep finds dead claims, and decides about them more often than not.
func (m *machine) sweep() {
	sweep := func(limit int) []bellhop.Claim {
		claims, _ := both(m, func(s bellhop.Store) ([]bellhop.Claim, error) {
			claims, err := s.Sweep(m.ctx, limit)
			if len(claims) > limit {
				m.Fatalf("a sweep for at most %d claims returned %d", limit, len(claims))
			}
			return claims, err
		}, func(claims []bellhop.Claim) []bellhop.Claim {
			if limit < 1000 { // claims of one time may come in any order
				return make([]bellhop.Claim, len(claims))
			}
			return sortClaims(claims)
		})
		return claims
	}
	if m.chance(30, "a small sweep") {
		sweep(1 + m.upTo(2, "limit"))
	}
	claims := sweep(1000)
	m.lookForGone()
	if len(claims) == 0 || m.chance(20, "leave them") {
		return
	}
	r := sweepRequest(claims, m.now())
	r.ID = m.id()
	for _, o := range r.Outcomes {
		if _, ok := m.outcomes[o.Token]; !ok {
			m.outcomes[o.Token] = o
		}
	}
	m.send(r, nil)
}

func (m *machine) promote() {
	limit := one(m, []int{1, 2, 100}, "limit")
	type reply struct {
		N    int
		Next time.Duration
	}
	_, _ = both(m, func(s bellhop.Store) (r reply, err error) {
		r.N, r.Next, err = s.Promote(m.ctx, limit)
		return r, err
	}, func(r reply) reply { r.Next = m.until(r.Next); return r })
}

// prune deletes all that has expired, a few at a time: which come first is the store's affair.
func (m *machine) prune() {
	limit := one(m, []int{1, 2, 100}, "limit")
	_, _ = both(m, func(s bellhop.Store) (struct{}, error) {
		for range 1000 {
			n, err := s.Prune(m.ctx, limit)
			if n > 2*limit {
				m.Fatalf("a pruning of at most %d jobs and records deleted %d", limit, n)
			}
			if n == 0 || err != nil {
				return struct{}{}, err
			}
		}
		m.Fatalf("pruning does not end")
		return struct{}{}, nil
	}, nil)
}

func (m *machine) pause() {
	queue, paused := one(m, randomQueues, "queue"), m.chance(40, "paused")
	_, _ = both(m, func(s bellhop.Store) (struct{}, error) { return struct{}{}, s.Pause(m.ctx, queue, paused) }, nil)
}

// pass lets time pass.
func (m *machine) pass() {
	m.advance(one(m, []time.Duration{
		2 * time.Second, 6 * time.Second, 30 * time.Second, 15 * time.Minute, 2 * time.Hour, 25 * time.Hour, 8 * 24 * time.Hour,
	}, "time"))
}

// action draws an action, and the jobs that may be named with it: of two jobs
// with one key a retry could take either, so only one is.
func (m *machine) action(ids []bellhop.ID) (bellhop.Action, []bellhop.ID) {
	a := bellhop.Action(rapid.IntRange(int(bellhop.ActRetry), int(bellhop.ActDelete)).Draw(m.T, "action"))
	if a == bellhop.ActRetry {
		keys := map[string]bool{}
		ids = slices.DeleteFunc(slices.Clone(ids), func(id bellhop.ID) bool {
			j := m.asked[id]
			if j == nil || j.UniqueKey == "" {
				return false
			}
			defer func() { keys[j.UniqueKey] = true }()
			return keys[j.UniqueKey]
		})
	}
	return a, ids
}

func normAct(r *bellhop.ActReply) *bellhop.ActReply {
	if r != nil {
		slices.SortFunc(r.Changed, bellhop.ID.Compare)
		slices.SortFunc(r.Signalled, bellhop.ID.Compare)
		slices.SortFunc(r.Skipped, func(a, b bellhop.Skip) int { return a.ID.Compare(b.ID) })
	}
	return r
}

func (m *machine) actByID() {
	r := &bellhop.ActRequest{Reason: "by a test"}
	r.Action, r.IDs = m.action(pick(m, m.ids, 3, "jobs"))
	if m.chance(10, "an unknown job") {
		r.IDs = append(r.IDs, m.id())
	}
	if len(r.IDs) > 0 {
		_, _ = both(m, func(s bellhop.Store) (*bellhop.ActReply, error) { return s.Act(m.ctx, r) }, normAct)
	}
}

// actByFilter acts on all that match, in bites of the drawn size.
func (m *machine) actByFilter() {
	f := m.filter()
	if len(f.IDs) == 0 {
		f.IDs = m.ids
	}
	var action bellhop.Action
	action, f.IDs = m.action(f.IDs)
	limit := one(m, []int{0, 1, 2, 5}, "limit")
	if m.drift > 0 && action.To() == bellhop.StateReady {
		limit = 0 // in several bites the jobs would be due one after the other, and at once where the clock stands still
	}
	if len(f.IDs) == 0 {
		return // would be all
	}
	_, _ = both(m, func(s bellhop.Store) (*bellhop.ActReply, error) {
		all := &bellhop.ActReply{}
		for r := (&bellhop.ActRequest{Action: action, Filter: f, Limit: limit, Reason: "by filter"}); ; {
			reply, err := s.Act(m.ctx, r)
			if err != nil {
				return nil, err
			}
			if n := len(reply.Changed) + len(reply.Signalled) + len(reply.Skipped); limit > 0 && n > limit {
				m.Fatalf("A4: with a limit of %d %d jobs were visited", limit, n)
			}
			all.Changed = append(all.Changed, reply.Changed...)
			all.Signalled = append(all.Signalled, reply.Signalled...)
			all.Skipped = append(all.Skipped, reply.Skipped...)
			if reply.Next == "" {
				return all, nil
			}
			if reply.Next == r.After {
				m.Fatalf("A4: the bite after %q ends where it began", r.After)
			}
			r.After = reply.Next
		}
	}, normAct)
}

// filter draws one or two conditions.
func (m *machine) filter() (f bellhop.Filter) {
	for range 1 + m.upTo(1, "conditions") {
		switch one(m, []string{
			"ids", "states", "queues", "not queues", "kinds", "tags", "process", "time", "end", "text", "value", "error", "group",
		}, "condition") {
		case "ids":
			f.IDs = pick(m, m.ids, 8, "jobs")
		case "states":
			f.States = bellhop.StateSet(rapid.Uint16Range(0, uint16(bellhop.AllStates)).Draw(m.T, "states")) & bellhop.AllStates
		case "queues":
			f.Queues = rapid.Permutation(randomQueues).Draw(m.T, "queues")[:1+m.upTo(1, "more")]
		case "not queues":
			f.NotQueues = randomQueues[m.upTo(2, "first"):]
		case "kinds":
			f.Kinds = randomKinds[:1]
		case "tags":
			f.Tags = one(m, randomTags, "tags")
		case "process":
			if list := pick(m, m.processes, 1, "process"); len(list) > 0 {
				f.Process = list[0].ID
			}
		case "time":
			f.EnqueuedAfter = m.now().Add(-m.wait())
			if m.chance(50, "before") {
				f.EnqueuedAfter, f.EnqueuedBefore = time.Time{}, f.EnqueuedAfter
			}
		case "end":
			f.FinishedAfter = m.now().Add(-m.wait())
			if m.chance(50, "before") {
				f.FinishedAfter, f.FinishedBefore = time.Time{}, f.FinishedAfter
			}
		case "value":
			f.Args = append(f.Args, one(m, []bellhop.ArgMatch{
				{Path: "n", Value: "9007199254740993"}, {Path: "1", Value: "2"}, {Value: `a%b_c\`}, {Path: "to", Value: "grüße@例え.jp"},
			}, "value"))
		case "error":
			f.Error = one(m, []string{"failed", "use", "x"}, "error")
		case "group":
			f.Fingerprint = bellhop.Fingerprint(one(m, randomKinds, "kind"), &bellhop.Failure{Class: "error", Message: "it failed"})
		case "text":
			f.Text = one(m, []string{"n", "%", "_", `\`, "ü", "N", "to"}, "text")
		}
	}
	return f
}

func (m *machine) list() {
	f, page, limit := m.filter(), 1+m.upTo(4, "page"), m.upTo(5, "limit")
	last := m.chance(50, "newest attempts")
	_, _ = both(m, func(s bellhop.Store) ([]bellhop.Snapshot, error) {
		return pagesOf(m.ctx, s, bellhop.Query{Filter: f, Limit: page, WithLast: last})
	}, nil)
	_, _ = both(m, func(s bellhop.Store) (int, error) { return CountAll(m.ctx, s, f, limit) }, nil)
}

func (m *machine) stats() {
	limit := m.upTo(4, "limit")
	_, _ = both(m, func(s bellhop.Store) ([]bellhop.QueueStats, error) { return s.Stats(m.ctx, limit) }, nil)
}
