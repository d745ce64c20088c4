package storetest

import (
	"sync"

	"github.com/gobellhop/bellhop"
)

// joinerTests are of the ability to claim within an enqueue. A store that has it may still decline to ask.
var joinerTests = []test{
	{"claims within an enqueue", "X5 X8", joinClaims},
	{"whose turn it is", "", joinTurns},
	{"nothing to claim", "X6", joinNothing},
	{"an enqueue that fails", "E1", joinFailing},
	{"a process that is gone", "X9", joinGone},
	{"stopped", "", joinStopped},
}

// party lets enqueues claim for a process.
type party struct {
	*try
	process bellhop.ID
	stop    func()

	mu      sync.Mutex
	decline bool
	limit   int
	asked   int
	request *bellhop.ExchangeRequest // the last one
	answers chan answer
}

type answer struct {
	reply *bellhop.ExchangeReply
	err   error
}

// join begins to let enqueues claim; it skips the test if the store does not do that.
func (t *try) join() *party {
	t.Helper()
	j, ok := bellhop.As[bellhop.Joiner](t.s)
	if !ok {
		t.Skip("the store does not claim within enqueues")
	}
	p := &party{try: t, process: t.process(), decline: true, limit: 1, answers: make(chan answer, 100)}
	p.stop = j.Join(p.offer)
	t.Cleanup(p.stop)
	t.add(queue("unwanted"))
	if p.often() == 0 {
		t.Skip("no enqueue asks for an offer")
	}
	p.asked, p.decline = 0, false
	return p
}

func (p *party) offer(ready []*bellhop.Job) *bellhop.Offer {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if p.decline || len(ready) == 0 {
		return nil
	}
	p.request = request(p.process, p.limit)
	return &bellhop.Offer{Request: p.request, Done: func(reply *bellhop.ExchangeReply, err error) { p.answers <- answer{reply, err} }}
}

// often returns how often it was asked.
func (p *party) often() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

func (p *party) declines(is bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.decline = is
}

// answer waits for the answer to an offer.
func (p *party) answer() answer {
	p.Helper()
	select {
	case a := <-p.answers:
		return a
	case <-p.ctx.Done():
		p.Fatal("what was offered has no answer")
		return answer{}
	}
}

// took waits for the answer to an offer, which must be these claims.
func (p *party) took(what string, want ...bellhop.ID) []bellhop.Claim {
	p.Helper()
	a := p.answer()
	must(p, a.err)
	p.same(what, claimed(a.reply.Claims), want)
	return a.reply.Claims
}

func joinClaims(t *try) {
	p := t.join()
	j := t.add()
	claims := p.took("claimed as it was enqueued", j.ID)
	t.same("claimed when the exchange is repeated", t.exchange(p.request).Claims, claims)
	c := t.get(j.ID)
	t.same("place of the claim", claims[0].Place, c.Place)
	t.same("exchange", c.Place.Exchange, p.request.ID)
	t.end(outcome(claims[0], bellhop.OutcomeSucceeded))
	// What waits already comes first, in the order of any exchange.
	p.declines(true)
	early := t.add()
	p.declines(false)
	late, urgent := t.add(), t.job(priority(bellhop.MinPriority))
	t.end(outcome(p.took("the one that has waited", early.ID)[0], bellhop.OutcomeSucceeded))
	t.enqueue(t.job(), urgent)
	p.took("the most urgent one", urgent.ID)
	t.in(bellhop.StateReady, late.ID)
	if n := p.often(); n != 4 {
		t.Errorf("asked %d times; want 4", n)
	}
}

func joinTurns(t *try) {
	first := t.join()
	first.declines(true)
	second := t.join()
	first.declines(false)
	offered := map[*party]int{}
	for range 6 {
		j := t.add(priority(bellhop.MinPriority))
		select {
		case a := <-first.answers:
			t.same("claims", claimed(a.reply.Claims), ids(j))
			offered[first]++
		case a := <-second.answers:
			t.same("claims", claimed(a.reply.Claims), ids(j))
			offered[second]++
		case <-t.ctx.Done():
			t.Fatal("nobody has claimed the job")
		}
	}
	if offered[first] != 3 || offered[second] != 3 {
		t.Errorf("of 6 jobs one has claimed %d and the other %d; want 3 each", offered[first], offered[second])
	}
	first.declines(true)
	for range 3 {
		second.took("claimed by whoever does not decline", t.add(priority(bellhop.MinPriority)).ID)
	}
	second.declines(true)
	t.in(bellhop.StateReady, t.add().ID)
}

func joinNothing(t *try) {
	p := t.join()
	j := t.add(unique("k"))
	p.took("claimed", j.ID)
	t.enqueue(t.job(delay(longLease)), j, t.job(unique("k")))
	if n := p.often(); n != 1 {
		t.Errorf("asked %d times; want 1, as nothing else has become ready", n)
	}
	t.pause(testQueue, true)
	j = t.add()
	a := p.answer()
	must(t, a.err)
	t.same("claims of a paused queue", claimed(a.reply.Claims), ids())
	t.same("paused", a.reply.Signals.Paused, []string{testQueue})
	if next := a.reply.Signals.NextDue; next <= 0 || next > longLease {
		t.Errorf("the next is due in %v; want a time up to %v", next, longLease)
	}
	t.in(bellhop.StateReady, j.ID)
}

func joinFailing(t *try) {
	p := t.join()
	p.declines(true)
	waiting := t.add()
	p.declines(false)
	other := *waiting
	other.Kind = otherKind
	t.changesNothing("enqueue with an id that is taken", func() error {
		return second(t.s.Enqueue(t.ctx, &bellhop.EnqueueRequest{Jobs: []*bellhop.Job{t.job(), &other}}))
	}, bellhop.ErrIDTaken)
	t.changesNothing("enqueue with a put that does not fit", func() error {
		return second(t.s.Enqueue(t.ctx, &bellhop.EnqueueRequest{Jobs: []*bellhop.Job{t.job()}, Puts: []bellhop.RecordWrite{set("a", "1", 4711)}}))
	}, bellhop.ErrConflict)
	for offers := p.often() - 1; offers > 0; offers-- {
		if a := p.answer(); a.err == nil {
			t.Errorf("the enqueue has failed, and its claim has not: %+v", a.reply)
		}
	}
}

func joinGone(t *try) {
	p := t.join()
	_, err := t.s.Beat(t.ctx, &bellhop.Beat{Process: describe(p.process), Leave: true})
	must(t, err)
	j := t.add()
	t.fails("a claim of a process that has left", p.answer().err, bellhop.ErrProcessGone)
	t.in(bellhop.StateReady, j.ID)
}

func joinStopped(t *try) {
	p := t.join()
	j := t.add()
	p.stop()
	select {
	case a := <-p.answers:
		must(t, a.err)
		t.same("claims", claimed(a.reply.Claims), ids(j))
	default:
		t.Error("stop has returned before what was offered had its answer")
	}
	t.in(bellhop.StateReady, t.add().ID)
	if n := p.often(); n != 1 {
		t.Errorf("asked %d times; want 1", n)
	}
}
