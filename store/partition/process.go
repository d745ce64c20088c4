package partition

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
)

const (
	// maxProcesses bounds of how many processes a part remembers what they have missed.
	maxProcesses = 1000
	// lookEvery is how often a part is looked through for queues that belong
	// elsewhere, of which jobs wait there since the parts were changed.
	lookEvery = 30 * time.Second
)

// Report implements [bellhop.Store]. It fails if a report's part is out of reach;
// the others are then recorded all the same.
func (s *Store) Report(ctx context.Context, reports []bellhop.Report) ([]bellhop.Refusal, error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	dealt := s.deal(len(reports), func(i int) bellhop.Token { return reports[i].Token })
	list, err := gather(ctx, s.with(dealt), forEver, func(ctx context.Context, p *part) ([]bellhop.Refusal, error) {
		return p.store.Report(ctx, pick(reports, dealt[p.index]))
	})
	if err != nil {
		return nil, err
	}
	v, known := make(verdicts, len(reports)), map[int]bellhop.Refusal{}
	var failed error
	for _, a := range list {
		if a.err != nil {
			failed = cmp.Or(failed, a.err)
			v.miss(dealt[a.part.index])
			continue
		}
		v.hear(dealt[a.part.index], a.value, nil, known)
	}
	refused, open := v.split(known)
	if len(open) > 0 {
		return refused, fmt.Errorf("partition store: %d of %d reports: %w", len(open), len(reports), changed{failed})
	}
	return refused, nil
}

// with returns the parts to which anything was dealt.
func (s *Store) with(dealt [][]int) (parts []*part) {
	for _, p := range s.parts {
		if len(dealt[p.index]) > 0 {
			parts = append(parts, p)
		}
	}
	return parts
}

// Beat implements [bellhop.Store]: it goes to all parts. It succeeds if any part
// has heard it, because those that are out of reach must not cost the process its
// claims in the others. A part that has missed a beat is not asked for jobs before
// it has heard one, nor swept before it has heard two.
//
// A last beat fails if any part has not heard it. If one part holds the process
// dead the answer is [bellhop.ErrProcessGone]: it begins again in all.
func (s *Store) Beat(ctx context.Context, b *bellhop.Beat) (*bellhop.BeatReply, error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	id := b.Process.ID
	expected := s.expected(id)
	dealt := s.deal(len(b.Held), func(i int) bellhop.Token { return b.Held[i] })
	list, err := gather(ctx, s.parts, s.patience.beat, func(ctx context.Context, p *part) (*bellhop.BeatReply, error) {
		own := *b
		own.Held = pick(b.Held, dealt[p.index])
		return p.store.Beat(ctx, &own)
	})
	for _, a := range list {
		a.part.beaten(id, a.err, b.Leave)
	}
	if err != nil {
		return nil, err
	}
	if b.Leave {
		if err := someFailed(list, "the process has left"); err != nil {
			return nil, err
		}
	}
	for _, a := range list {
		if errors.Is(a.err, bellhop.ErrProcessGone) {
			s.forget(id)
		}
		if errors.Is(a.err, bellhop.ErrProcessGone) || errors.Is(a.err, bellhop.ErrClosed) {
			return nil, fmt.Errorf("partition store: %w", a.err)
		}
	}
	if _, err := working(list); err != nil {
		return nil, err
	}
	return s.heardBeats(b, list, dealt, expected), nil
}

// expected returns the exchanges of a process whose replies are still to come.
// What is collected goes from the parts to an exchange under way, so these come last.
func (s *Store) expected(process bellhop.ID) (ids []bellhop.ID) {
	for _, p := range s.parts {
		p.mu.Lock()
		if st := p.straying[process]; st != nil {
			ids = append(ids, st.under...)
			for i := range st.claims {
				ids = append(ids, st.claims[i].Token.Exchange)
			}
		}
		p.mu.Unlock()
	}
	return append(ids, s.recent.under(process)...)
}

// beaten notes whether a part has heard the beat of a process.
func (p *part) beaten(process bellhop.ID, err error, leave bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil && leave:
		delete(p.missed, process)
		delete(p.straying, process)
	case err == nil:
		delete(p.missed, process)
		p.beatsMissing = max(p.beatsMissing-1, 0)
	case errors.Is(err, bellhop.ErrProcessGone), leave:
		delete(p.missed, process) // the part says so itself
		delete(p.straying, process)
	default:
		if len(p.missed) >= maxProcesses { // if they live, the part itself says whether it knows them
			clear(p.missed)
		}
		p.missed[process] = true
		p.beatsMissing = beatsToSweep
	}
}

// forget forgets a process that some part holds dead: it begins again under another id.
func (s *Store) forget(process bellhop.ID) {
	for _, p := range s.parts {
		p.mu.Lock()
		delete(p.missed, process)
		delete(p.straying, process)
		p.mu.Unlock()
	}
}

// heardBeats makes one reply of those of the parts. A claim is lost if the part that
// held it says so, or all parts if it is not known which that was. Claims of which
// the process will hear by an exchange are no surprise.
func (s *Store) heardBeats(b *bellhop.Beat, list []answer[*bellhop.BeatReply], dealt [][]int, expected []bellhop.ID) *bellhop.BeatReply {
	reply := &bellhop.BeatReply{Idle: len(b.Held) == 0 && !b.Leave, NextDue: -1}
	expected = append(expected, s.expected(b.Process.ID)...)
	v, known := make(verdicts, len(b.Held)), map[int]bellhop.Refusal{}
	for _, a := range list {
		places := dealt[a.part.index]
		if a.err != nil {
			v.miss(places)
			reply.Idle = false
			continue
		}
		reply.Idle = reply.Idle && a.value.Idle
		reply.NextDue = sooner(reply.NextDue, a.value.NextDue)
		lost := map[bellhop.Token]bool{}
		for _, t := range a.value.Lost {
			lost[t] = true
		}
		var refused []bellhop.Refusal
		for i, at := range places {
			if lost[b.Held[at]] {
				refused = append(refused, bellhop.Refusal{Index: i})
			}
		}
		v.hear(places, refused, nil, known)
		if reply.Now.IsZero() {
			reply.Now = a.value.Now
		}
		reply.Cancel = append(reply.Cancel, a.value.Cancel...)
		extra := slices.DeleteFunc(a.value.Extra, func(c bellhop.Claim) bool { return slices.Contains(expected, c.Token.Exchange) })
		s.ledger.add(extra, a.part.index)
		reply.Extra = append(reply.Extra, extra...)
	}
	refused, _ := v.split(known)
	for _, r := range refused {
		reply.Lost = append(reply.Lost, b.Held[r.Index])
	}
	return reply
}

// sooner returns the shorter of two waits, of which a negative one is none.
func sooner(a, b time.Duration) time.Duration {
	if a < 0 || b >= 0 && b < a {
		return b
	}
	return a
}

// Sweep implements [bellhop.Store]. Parts from which this process was cut off
// lately are left out, because others may have been as well.
func (s *Store) Sweep(ctx context.Context, limit int) ([]bellhop.Claim, error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	parts := s.inReach(func(p *part) bool { return p.beatsMissing == 0 })
	list, err := gather(ctx, parts, s.patience.duty, func(ctx context.Context, p *part) ([]bellhop.Claim, error) { return p.store.Sweep(ctx, limit) })
	if err != nil {
		return nil, err
	}
	if _, err := working(list); err != nil {
		return nil, err
	}
	var claims []bellhop.Claim
	for _, a := range list {
		if a.err == nil {
			s.ledger.add(a.value, a.part.index)
			claims = append(claims, a.value...)
		}
	}
	slices.SortFunc(claims, func(a, b bellhop.Claim) int {
		return cmp.Or(a.Place.ClaimedAt.Compare(b.Place.ClaimedAt), a.Job.ID.Compare(b.Job.ID))
	})
	s.lookForStrays(ctx)
	return claims[:max(min(limit, len(claims)), 0)], nil
}

// lookForStrays finds the queues of which jobs wait in a part to which they no
// longer belong, now and then.
func (s *Store) lookForStrays(ctx context.Context) {
	if s.router.by != ByQueue || len(s.parts) == 1 {
		return
	}
	now := time.Now()
	parts := s.inReach(func(p *part) bool {
		due := !now.Before(p.lookAt)
		if due {
			p.lookAt = now.Add(lookEvery)
		}
		return due
	})
	if len(parts) == 0 {
		return
	}
	list, err := gather(ctx, parts, s.patience.duty, func(ctx context.Context, p *part) ([]bellhop.QueueStats, error) { return p.store.Stats(ctx, 1) })
	if err != nil {
		return // the next time will do
	}
	for _, a := range list {
		for _, q := range a.value {
			if q.Ready > 0 && s.router.of(q.Queue) != a.part.index {
				a.part.mu.Lock()
				a.part.strays[q.Queue] = true
				a.part.mu.Unlock()
			}
		}
	}
}

// inReach returns the parts that may be asked and that fit; all that fit, if none may be asked.
func (s *Store) inReach(fits func(p *part) bool) (parts []*part) {
	now := time.Now()
	up := slices.ContainsFunc(s.parts, func(p *part) bool { return p.open(now) })
	for _, p := range s.parts {
		p.mu.Lock()
		if (!up || p.mayTry(now)) && fits(p) {
			parts = append(parts, p)
		}
		p.mu.Unlock()
	}
	return parts
}

// Processes implements [bellhop.Store]. A process is one, in however many parts it is alive.
func (s *Store) Processes(ctx context.Context) ([]bellhop.ProcessStatus, error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	lists, err := all(ctx, s, func(ctx context.Context, p *part) ([]bellhop.ProcessStatus, error) { return p.store.Processes(ctx) })
	if err != nil {
		return nil, err
	}
	at := map[bellhop.ID]int{}
	merged := []bellhop.ProcessStatus{}
	for _, list := range lists {
		for _, p := range list {
			i, known := at[p.ID]
			if !known {
				at[p.ID] = len(merged)
				merged = append(merged, p)
				continue
			}
			m := &merged[i]
			m.Running += p.Running
			if p.BeatAt.After(m.BeatAt) { // the newest beat tells most
				m.Process, m.BeatAt = p.Process, p.BeatAt
			}
		}
	}
	slices.SortStableFunc(merged, func(a, b bellhop.ProcessStatus) int {
		return cmp.Or(a.StartedAt.Compare(b.StartedAt), a.ID.Compare(b.ID))
	})
	return merged, nil
}
