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
	// outAfter is how long an exchange must have gone on for its part to count as out
	// of reach; until then it is only slow.
	outAfter = 2 * time.Second
	// strayTimeout bounds how long an exchange goes on that nobody waits for.
	strayTimeout = 8 * time.Second
)

// Exchange implements [bellhop.Store]: one call to each part that holds a claim
// whose outcome is handed in, or may have jobs for the process.
func (s *Store) Exchange(ctx context.Context, r *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	for i := range r.Outcomes {
		if !r.Outcomes[i].Kind.Valid() {
			return nil, &bellhop.InvalidError{Index: i, Field: "outcome", Reason: r.Outcomes[i].Kind.String() + " is unknown"}
		}
	}
	if len(r.Puts) > 0 {
		return s.exchangeInOne(ctx, r)
	}
	x := &exchange{
		s: s, r: r, reply: &bellhop.ExchangeReply{}, verdicts: make(verdicts, len(r.Outcomes)), known: map[int]bellhop.Refusal{},
		dues: map[*part]time.Duration{}, times: map[*part]int{},
	}
	return x.run(ctx)
}

// exchangeInOne does an exchange with writes: in the part where the records live,
// because the writes, the outcomes and the claims happen as a whole.
func (s *Store) exchangeInOne(ctx context.Context, r *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
	home, err := s.homeOf(r.Puts)
	if err != nil {
		return nil, err
	}
	at, err := s.locate(ctx, r.Outcomes)
	if err != nil {
		return nil, err
	}
	for i, part := range at {
		if part >= 0 && part != home {
			return nil, s.spans(recordName(&r.Puts[0]), home, "job "+r.Outcomes[i].Token.JobID.String(), part)
		}
	}
	p := s.parts[home]
	reply, err := one(ctx, p, func(ctx context.Context, p *part) (*bellhop.ExchangeReply, error) { return p.store.Exchange(ctx, r) })
	if reply != nil {
		s.ledger.add(reply.Claims, home)
		p.due(reply.Signals.NextDue)
		reply.Signals.NextDue = s.soonest(map[*part]time.Duration{p: reply.Signals.NextDue})
	}
	if err != nil {
		return reply, fmt.Errorf("partition store: %w", err)
	}
	return reply, nil
}

// locate returns for each outcome the part that has its job, or -1 if none has.
func (s *Store) locate(ctx context.Context, outcomes []bellhop.Outcome) ([]int, error) {
	at := make([]int, len(outcomes))
	var ids []bellhop.ID
	s.ledger.mu.Lock()
	for i := range outcomes {
		p, ok := s.ledger.find(outcomes[i].Token)
		if at[i] = p; !ok {
			at[i] = -1
			ids = append(ids, outcomes[i].Token.JobID)
		}
	}
	s.ledger.mu.Unlock()
	if len(ids) == 0 {
		return at, nil
	}
	found, err := gather(ctx, s.parts, forEver, func(ctx context.Context, p *part) ([]bellhop.Snapshot, error) { return p.store.Get(ctx, ids) })
	if err != nil {
		return nil, err
	}
	for _, a := range found {
		if a.err != nil {
			return nil, fmt.Errorf("partition store: %w", a.err)
		}
		for k := range a.value {
			for i := range outcomes {
				if at[i] < 0 && outcomes[i].Token.JobID == a.value[k].ID {
					at[i] = a.part.index
				}
			}
		}
	}
	return at, nil
}

// exchange is one Exchange on its way through the parts.
type exchange struct {
	s        *Store
	r        *bellhop.ExchangeRequest
	asking   *asking
	reply    *bellhop.ExchangeReply
	verdicts verdicts
	known    map[int]bellhop.Refusal // refusals by outcome
	dues     map[*part]time.Duration // until the next scheduled job, as just said
	times    map[*part]int           // that a part was asked for claims
	answers  chan *leg
	over     chan struct{} // closed when nobody reads answers any more
	under    []*leg        // legs under way
	done     []*leg        // legs that were answered
	begun    int           // legs so far
	late     int           // claims that came from earlier exchanges
	answered int           // parts that have answered
	gone     error         // a part does not hold the process alive
	failed   error         // of the first part that failed
	changed  bool          // it is not certain that the failed parts have changed nothing
}

// leg is the call to one part.
type leg struct {
	part    *part
	order   int // among the legs of its exchange
	request bellhop.ExchangeRequest
	places  []int // of the outcomes in the whole request
	share   *share
	reply   *bellhop.ExchangeReply
	err     error
	cancel  context.CancelFunc
	until   time.Time // when the patience with it is over
	// finished and strayed tell whether the call is over, and whether nobody waits
	// for it; guarded by part.mu.
	finished, strayed bool
	unhook            func() bool // ends what cancels a strayed one when the store is closed
}

func (x *exchange) run(ctx context.Context) (*bellhop.ExchangeReply, error) {
	before := x.s.recent.begin(x.r)
	defer x.s.recent.end(x.r)
	late := x.s.collect(x.r)
	x.reply.Claims, x.late = slices.Clone(late), len(late)
	x.asking = x.s.newAsking(x.r, x.r.Limit-x.late)
	x.answers, x.over = make(chan *leg), make(chan struct{})
	defer close(x.over)
	places := x.s.deal(len(x.r.Outcomes), func(i int) bellhop.Token { return x.r.Outcomes[i].Token })
	if before != nil {
		x.repeat(ctx, before, places)
	} else {
		x.begin(ctx, x.asking.next(func(p *part) bool { return len(places[p.index]) > 0 }), places, false)
	}
	if len(x.under) == 0 && len(x.r.Outcomes) == 0 {
		x.begin(ctx, nil, nil, true) // to hear what there is to hear
	}
	err := x.wait(ctx)
	for err == nil && x.askMore(ctx) {
		err = x.wait(ctx)
	}
	if err != nil {
		x.s.giveBack(x.r.Process, late)
		return nil, err
	}
	return x.end(ctx)
}

// repeat asks for the same as an exchange that was made before under the same id,
// and each part answers with the claims that it made then and that are still held.
func (x *exchange) repeat(ctx context.Context, before []*leg, places [][]int) {
	x.asking.final = true
	for _, l := range before {
		x.asking.take(l.part)
		x.times[l.part]++
		x.start(ctx, &leg{part: l.part, share: l.share, request: l.request})
	}
	x.begin(ctx, nil, places, false)
}

// askMore asks for what is still wanted: if nothing was found at all the parts that
// were not asked yet; else those that gave all they were asked for, and may have more.
func (x *exchange) askMore(ctx context.Context) bool {
	if x.gone != nil {
		return false
	}
	shares := x.asking.more()
	x.begin(ctx, shares, nil, false)
	return len(shares) > 0
}

// begin starts a leg to each part that has a share or outcomes to apply, or to all.
// Without a share it names no process and so claims nothing.
func (x *exchange) begin(ctx context.Context, shares map[*part]*share, places [][]int, all bool) {
	for _, p := range x.s.parts {
		l := &leg{part: p, share: shares[p], request: bellhop.ExchangeRequest{ID: x.r.ID, Kinds: x.r.Kinds}}
		if places != nil {
			l.places = places[p.index]
		}
		if l.share == nil && len(l.places) == 0 && !all {
			continue
		}
		l.request.Outcomes, l.request.Wants = pick(x.r.Outcomes, l.places), x.r.Wants
		if l.share != nil {
			l.request.Process, l.request.Wants, l.request.Limit = x.r.Process, l.share.wants, l.share.limit
			l.request.ID = again(x.r.ID, x.times[p])
			x.times[p]++
			if !x.r.Process.IsZero() {
				x.s.recent.note(x.r, l)
			}
		}
		x.start(ctx, l)
	}
}

// errOut: the part is known to be out of reach, and was not asked.
var errOut = fmt.Errorf("it is out of reach: %w, and %w", bellhop.ErrUnavailable, bellhop.ErrUnchanged)

// start sends a leg on its way.
func (x *exchange) start(ctx context.Context, l *leg) {
	if len(x.s.parts) > 1 && !l.part.open(time.Now()) {
		x.miss(l, &partError{l.part.name, errOut})
		return
	}
	if !x.s.enter() {
		x.miss(l, bellhop.ErrClosed)
		return
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // it may go on when the caller does not wait
	l.cancel = cancel
	x.under = append(x.under, l)
	l.order = x.begun
	x.begun++
	if l.share != nil {
		l.part.mu.Lock()
		l.part.askedAt, l.part.woken = time.Now(), false // what becomes ready from now on is news
		l.part.mu.Unlock()
	}
	l.until = time.Now().Add(x.s.patience.with(l.part))
	go func() {
		defer x.s.calls.Done()
		defer cancel()
		l.reply, l.err = l.part.store.Exchange(ctx, &l.request)
		l.part.heard(ctx, l.err)
		l.part.mu.Lock()
		l.finished = true
		strayed := l.strayed
		l.part.mu.Unlock()
		if strayed {
			x.s.bring(l)
			return
		}
		select {
		case x.answers <- l:
		case <-x.over:
		}
	}()
}

// wait takes in the answers of all legs, or of as many as come while it has
// patience. If none has come by then the other parts are asked besides.
func (x *exchange) wait(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for len(x.under) > 0 {
		first := slices.MinFunc(x.under, func(a, b *leg) int { return a.until.Compare(b.until) })
		timer.Reset(time.Until(first.until))
		select {
		case l := <-x.answers:
			if at := slices.Index(x.under, l); at >= 0 { // else it was taken already
				x.under = slices.Delete(x.under, at, at+1)
				x.take(l)
			}
		case <-timer.C:
			if x.answered > 0 {
				x.stray(first)
				continue
			}
			first.until = time.Now().Add(x.s.patience.exchange)
			x.askMore(ctx)
		case <-ctx.Done():
			for _, l := range x.under {
				l.cancel()
				if errors.Is(ctx.Err(), context.DeadlineExceeded) {
					l.part.heard(context.Background(), errLate)
				}
			}
			return fmt.Errorf("partition store: %w", ctx.Err())
		}
	}
	return nil
}

// take takes in the answer of one leg.
func (x *exchange) take(l *leg) {
	if l.err != nil {
		err := &partError{l.part.name, l.err}
		if !errors.Is(l.err, bellhop.ErrProcessGone) {
			x.miss(l, err)
			return
		}
		if x.gone = err; l.reply == nil {
			x.miss(l, err)
			return
		}
	}
	x.answered++
	x.verdicts.hear(l.places, l.reply.Refused, l.reply.Unsettled, x.known)
	x.s.ledger.add(l.reply.Claims, l.part.index)
	x.dues[l.part] = l.reply.Signals.NextDue
	l.part.due(l.reply.Signals.NextDue)
	if l.share != nil {
		x.asking.gave(l.part, l.share, l.reply.Claims)
	}
	x.done = append(x.done, l)
	sig := &x.reply.Signals
	if sig.Now.IsZero() {
		sig.Now = l.reply.Signals.Now
	}
	sig.Cancel = append(sig.Cancel, l.reply.Signals.Cancel...)
	for _, queue := range l.reply.Signals.Paused {
		if !slices.Contains(sig.Paused, queue) {
			sig.Paused = append(sig.Paused, queue)
		}
	}
}

// miss notes that a part has not done its leg.
func (x *exchange) miss(l *leg, err error) {
	x.verdicts.miss(l.places)
	x.changed = x.changed || !errors.Is(err, bellhop.ErrUnchanged)
	if x.failed == nil || errors.Is(err, bellhop.ErrClosed) {
		x.failed = err
	}
}

// end makes the reply.
func (x *exchange) end(ctx context.Context) (*bellhop.ExchangeReply, error) {
	if x.failed != nil && (x.answered == 0 && x.late == 0 || errors.Is(x.failed, bellhop.ErrClosed)) {
		err := x.failed
		if x.changed {
			err = changed{err}
		}
		return nil, fmt.Errorf("partition store: %w", err)
	}
	x.s.settle(x.r.Outcomes, x.verdicts)
	x.reply.Refused, x.reply.Unsettled = x.verdicts.split(x.known)
	slices.SortFunc(x.done, func(a, b *leg) int { return a.order - b.order }) // so that a repeat has the same order
	for _, l := range x.done {
		x.reply.Claims = append(x.reply.Claims, l.reply.Claims...)
	}
	slices.SortStableFunc(x.reply.Claims, func(a, b bellhop.Claim) int { return cmp.Compare(x.wantOf(&a), x.wantOf(&b)) })
	x.reply.Signals.NextDue = x.s.soonest(x.dues)
	if x.gone == nil {
		return x.reply, nil
	}
	// The process begins again under another id: what it was given here goes back.
	x.s.handBack(ctx, x.reply.Claims)
	x.reply.Claims = nil
	x.s.forget(x.r.Process)
	return x.reply, fmt.Errorf("partition store: %w", x.gone)
}

// wantOf returns the place of the want that a claim answers: claims are started in that order.
func (x *exchange) wantOf(c *bellhop.Claim) int {
	return slices.IndexFunc(x.r.Wants, func(w bellhop.Want) bool { return w.Queue == c.Job.Queue })
}

// handBack gives claims back that were made for a process that is gone elsewhere.
// Those of a part that is out of reach are left for the sweep.
func (s *Store) handBack(ctx context.Context, claims []bellhop.Claim) {
	if len(claims) == 0 {
		return
	}
	r := &bellhop.ExchangeRequest{ID: bellhop.NewID()}
	for i := range claims {
		r.Outcomes = append(r.Outcomes, claims[i].HandBack("a part of the store held the process dead"))
	}
	if _, err := s.Exchange(ctx, r); err != nil {
		s.log.Warn("claims of a process that is held dead could not be handed back; the sweep takes them", bellhop.AttrError, err.Error())
	}
}

// soonest returns how long until the next scheduled job is due in any part: as the
// parts have just said, or as was noted of those that were not asked.
func (s *Store) soonest(said map[*part]time.Duration) time.Duration {
	soonest := time.Duration(-1)
	now := time.Now()
	for _, p := range s.parts {
		wait, ok := said[p]
		if !ok {
			p.mu.Lock()
			if wait = -1; !p.nextDue.IsZero() {
				wait = max(p.nextDue.Sub(now), 0)
			}
			p.mu.Unlock()
		}
		if wait >= 0 && (soonest < 0 || wait < soonest) {
			soonest = wait
		}
	}
	return soonest
}
