package sqlstore

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
)

const claimedCols = `due, generation, attempt, failures, crashes, suspect, cancel`

// The range of a claim: one priority of one queue, from the lower bound to the
// last candidate. In a queue with kinds that the process does not know, the
// statements look at the kind as well.
const (
	claimFrom = `r.queue = ? and r.priority = ? and (r.due, r.job) > (?, ?)`
	claimTo   = claimFrom + ` and (r.due, r.job) <= (?, ?)`
	known     = ` and r.kind in ({list})`
)

// claimStatements read the next jobs of a lane, and move them. Between the first
// and the last that a single writer has read there are no others; where several
// write at once those that were read and locked are named one by one.
type claimStatements struct{ claimable, toRunning, endReady *Stmt }

func defineClaim(suffix, where string) claimStatements {
	return claimStatements{
		define("claimable"+suffix, `select `+jobColumns+`, r.due, r.generation, r.claim, r.attempt, r.failures, r.crashes, r.suspect, r.cancel
			from bellhop_ready r cross join bellhop_jobs j where `+claimFrom+where+` and j.job = r.job order by r.due, r.job {limit} {skip:r}`),
		define("ready to running"+suffix, `insert into bellhop_running
			(job, queue, exchange, process, claimed_at, claim, `+claimedCols+`)
			select r.job, r.queue, ?, ?, ?, r.claim + 1, r.due, r.generation, r.attempt, r.failures, r.crashes, r.suspect, r.cancel
			from bellhop_ready r where `+claimTo+where),
		define("end ready"+suffix, `delete from bellhop_ready as r where `+claimTo+where),
	}
}

var (
	allKinds       = defineClaim("", "")
	knownKinds     = defineClaim(", known kinds", known)
	theseToRunning = define("these to running", `insert into bellhop_running
		(job, queue, exchange, process, claimed_at, claim, `+claimedCols+`)
		select r.job, r.queue, ?, ?, ?, r.claim + 1, r.due, r.generation, r.attempt, r.failures, r.crashes, r.suspect, r.cancel
		from bellhop_ready r where r.job in ({numbers})`)
	endTheseReady = define("end these ready", `delete from bellhop_ready where job in ({numbers})`)
	nextPriority  = define("next priority", `select min(priority) from bellhop_ready where queue = ? and priority > ?`)
	firstKnown    = define("first of known kinds", `select r.due, r.job from bellhop_ready r where `+claimFrom+known+` order by r.due, r.job limit 1`)
	skipped       = define("skipped", `select due, job from bellhop_ready where queue = ? and priority = ? order by due, job limit 1 offset 256`)
	lastReady     = define("last ready", `select due, job from bellhop_ready where queue = ? and priority = ? order by due desc, job desc limit 1`)
)

// claimer takes jobs for an exchange.
type claimer struct {
	*txn
	request *bellhop.ExchangeRequest
	known   []string // the kinds, sorted
	key     string   // the kinds as one text
	row     *row
	claims  []bellhop.Claim
	ids     []bellhop.ID
	refs    []jobRef
	last    position // of the last claim
}

// want claims from one queue, priority by priority.
func (c *claimer) want(ctx context.Context, want bellhop.Want) error {
	left := min(want.Count, c.request.Limit-len(c.claims))
	if !c.store.LowerBounds {
		return c.search(ctx, want.Queue, left, nil)
	}
	// Looking for priorities passes over deleted rows as well.
	if list, ok := c.store.bounds.priorities(want.Queue); ok && !c.wakes(want.Queue) {
		for _, priority := range list {
			if left <= 0 {
				break
			}
			n, err := c.lane(ctx, lane{want.Queue, priority, c.key}, left)
			if err != nil {
				return err
			}
			left -= n
		}
		return nil
	}
	var found []int64
	began := time.Now()
	err := c.search(ctx, want.Queue, left, &found)
	if took := time.Since(began); err == nil && len(found) > 0 {
		c.after = append(c.after, func() { c.store.bounds.note(want.Queue, found, took) })
	}
	return err
}

// search claims from one queue, looking for the next priority each time, and
// notes in found, if that is not nil, which there are. Then it looks for all.
func (c *claimer) search(ctx context.Context, queue string, left int, found *[]int64) error {
	for priority := int64(math.MinInt16); left > 0 || found != nil; {
		var next *int64
		err := c.Query(ctx, nextPriority, func(r Row) error { return r.Scan(&next) }, queue, priority)
		if err != nil || next == nil {
			return err
		}
		if priority = *next; found != nil {
			*found = append(*found, priority)
		}
		if left <= 0 {
			continue
		}
		n, err := c.lane(ctx, lane{queue, priority, c.key}, left)
		if err != nil {
			return err
		}
		left -= n
	}
	return nil
}

// lane claims at most limit jobs of one priority of a queue.
func (c *claimer) lane(ctx context.Context, l lane, limit int) (int, error) {
	from, full, mixed := c.store.bounds.start(l, c.store.LowerBounds)
	if c.store.LowerBounds && c.wakes(l.queue) { // this very exchange has handed something back
		from, full = head, true
	}
	began := time.Now()
	if !mixed {
		n, unknown, err := c.take(ctx, l, from, limit, allKinds)
		if err != nil || !unknown {
			if c.store.LowerBounds && n > 0 {
				to, took := c.last, time.Since(began)
				c.after = append(c.after, func() { c.store.bounds.set(l, to, full, took) })
			}
			return n, err
		}
	}
	last := from // of those that are there now: what comes meanwhile must not be passed over
	if c.store.Shared {
		if err := c.Query(ctx, lastReady, readPosition(&last), l.queue, l.priority); err != nil {
			return 0, err
		}
	}
	// Only one statement looks at what is to be passed over.
	first := head
	err := c.Query(ctx, firstKnown, readPosition(&first), l.queue, l.priority, from.due, from.job, Texts(c.known))
	if err != nil {
		return 0, err
	}
	n := 0
	if first != head {
		first.job-- // a claim begins behind its lower bound
		if n, _, err = c.take(ctx, l, first, limit, knownKinds); err != nil {
			return 0, err
		}
	}
	return n, c.remember(ctx, l, last, full, time.Since(began), n == limit)
}

func readPosition(p *position) func(Row) error {
	return func(r Row) error {
		var due, job num
		err := r.Scan(&due, &job)
		*p = position{int64(due), int64(job)}
		return err
	}
}

// take claims the next jobs of a lane. If st does not look at kinds and there
// are unknown ones among the next jobs, it claims nothing and says so.
func (c *claimer) take(ctx context.Context, l lane, from position, limit int, st claimStatements) (n int, unknown bool, err error) {
	before := len(c.claims)
	where := []any{l.queue, l.priority, from.due, from.job}
	var kinds []any
	if st == knownKinds {
		kinds = []any{Texts(c.known)}
	}
	unknown, err = c.candidates(ctx, st.claimable, slices.Concat(where, kinds, []any{limit})...)
	if n = len(c.claims) - before; err != nil || unknown || n == 0 {
		c.claims, c.ids, c.refs = c.claims[:before], c.ids[:before], c.refs[:before]
		return 0, unknown, err
	}
	if c.store.Shared {
		c.order(before)
		return n, false, c.moveThese(ctx, c.refs[before:])
	}
	where = append(where, c.last.due, c.last.job)
	_, err = c.Exec(ctx, st.toRunning, slices.Concat([]any{c.request.ID[:], c.request.Process[:], c.now}, where, kinds)...)
	if err != nil {
		return 0, false, err
	}
	_, err = c.Exec(ctx, st.endReady, slices.Concat(where, kinds)...)
	return n, false, err
}

// order brings the claims from one on into their order: a database that joins
// rows in the order that it likes need not sort all columns for that.
func (c *claimer) order(from int) {
	claims, ids, refs := c.claims[from:], c.ids[from:], c.refs[from:]
	place := func(i int) position { return position{claims[i].Place.Due.UnixMicro(), refs[i].job} }
	sorted := make([]int, len(claims))
	inOrder := true
	for i := range sorted {
		sorted[i] = i
		inOrder = inOrder && (i == 0 || place(i-1).before(place(i)))
	}
	if inOrder {
		return
	}
	slices.SortFunc(sorted, func(a, b int) int {
		x, y := place(a), place(b)
		return cmp.Or(cmp.Compare(x.due, y.due), cmp.Compare(x.job, y.job))
	})
	c.last = place(sorted[len(sorted)-1])
	oldClaims, oldIDs, oldRefs := slices.Clone(claims), slices.Clone(ids), slices.Clone(refs)
	for i, k := range sorted {
		claims[i], ids[i], refs[i] = oldClaims[k], oldIDs[k], oldRefs[k]
	}
}

// moveThese moves the jobs that have been read.
func (c *claimer) moveThese(ctx context.Context, refs []jobRef) error {
	jobs := make(Numbers, len(refs))
	for i := range refs {
		jobs[i] = refs[i].job
	}
	if _, err := c.Exec(ctx, theseToRunning, c.request.ID[:], c.request.Process[:], c.now, jobs); err != nil {
		return err
	}
	_, err := c.Exec(ctx, endTheseReady, jobs)
	return err
}

// candidates reads jobs as claims, and tells whether there is one of an unknown kind among them.
func (c *claimer) candidates(ctx context.Context, st *Stmt, args ...any) (unknown bool, err error) {
	r, dest := c.row, append(c.row.job[:len(c.row.job):len(c.row.job)], c.row.place[1:9]...)
	r.claimedAt, r.process, r.exchange = num(c.now), uid(c.request.Process), uid(c.request.ID)
	r.state, r.reason, r.progress = num(bellhop.StateRunning), "", nil
	err = c.Query(ctx, st, func(result Row) error {
		if err := result.Scan(dest...); err != nil {
			return err
		}
		if _, ok := slices.BinarySearch(c.known, string(r.kind)); !ok {
			return errUnknownKind
		}
		r.claim++
		claim, damage := r.newClaim()
		c.doubt(claim, damage)
		c.claims = append(c.claims, claim)
		c.ids = append(c.ids, claim.Job.ID)
		c.refs = append(c.refs, jobRef{int64(r.number), r.uniqueKey != "", claim.Place.Failures, claim.Place.Crashes})
		c.last = position{int64(r.due), int64(r.number)}
		return nil
	}, args...)
	if errors.Is(err, errUnknownKind) {
		return true, nil
	}
	return false, err
}

// errUnknownKind ends a look at jobs of all kinds.
var errUnknownKind = errors.New("a job of an unknown kind")

// remember sets the lane's lower bound, if many jobs of unknown kinds stand before
// it: at the last claim if there were enough, else at the last of all, or where
// the look began.
func (c *claimer) remember(ctx context.Context, l lane, last position, full bool, took time.Duration, enough bool) error {
	to := position{}
	if !c.store.LowerBounds {
		if err := c.Query(ctx, skipped, readPosition(&to), l.queue, l.priority); err != nil {
			return err
		}
		if to == (position{}) || enough && !to.before(c.last) {
			c.after = append(c.after, func() { c.store.bounds.forget(l) })
			return nil
		}
	}
	if to = c.last; !enough {
		if to = last; !c.store.Shared {
			if err := c.Query(ctx, lastReady, readPosition(&to), l.queue, l.priority); err != nil {
				return err
			}
		}
	}
	c.after = append(c.after, func() { c.store.bounds.set(l, to, full, took) })
	return nil
}

// lane is one priority of one queue, as seen by a process that knows certain kinds.
type lane struct {
	queue    string
	priority int64
	kinds    string
}

// position is a place in the order of a lane.
type position struct{ due, job int64 }

var head = position{due: math.MinInt64}

func (p position) before(o position) bool {
	return p.due < o.due || p.due == o.due && p.job < o.job
}

// bounds remembers for each lane up to where there is nothing to claim, so that
// a claim does not look again at what it has passed over. What appears before
// the bound meanwhile is found by full looks, which take at most a twentieth of the time.
type bounds struct {
	mu     sync.Mutex
	m      map[lane]*bound
	queues map[string]*knownQueue
}

type bound struct {
	position
	nextLook time.Time
}

// knownQueue is what the last look at a queue has found.
type knownQueue struct {
	priorities []int64 // ascending
	nextLook   time.Time
}

const maxBounds = 10_000

// start returns from where to look, whether that is a full look, and whether
// unknown kinds are to be expected.
func (b *bounds) start(l lane, always bool) (from position, full, mixed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.m[l]
	switch {
	case e == nil:
		return head, true, false
	case time.Now().Before(e.nextLook):
		return e.position, false, false
	}
	return head, true, !always
}

func (b *bounds) set(l lane, to position, full bool, took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.m[l]
	if e == nil {
		if !full { // forgotten meanwhile: what was to be found may have come after the look
			return
		}
		if b.m == nil || len(b.m) >= maxBounds {
			b.m = map[lane]*bound{}
		}
		e = &bound{}
		b.m[l] = e
	}
	e.position = to
	if full {
		e.nextLook = nextLook(took)
	}
}

// nextLook returns when to look at everything again, after a look that took so
// long. There are two kinds of looks, at a lane and at a queue's priorities;
// together they take at most a twentieth of the time.
func nextLook(took time.Duration) time.Time {
	return time.Now().Add(min(max(40*took, 50*time.Millisecond), 10*time.Second))
}

// priorities returns those of a queue, unless it is time to look for them again.
func (b *bounds) priorities(queue string) (list []int64, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[queue]
	if q == nil || !time.Now().Before(q.nextLook) {
		return nil, false
	}
	return q.priorities, true
}

// note remembers the priorities of a queue.
func (b *bounds) note(queue string, priorities []int64, took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queues == nil || len(b.queues) >= maxBounds {
		b.queues = map[string]*knownQueue{}
	}
	b.queues[queue] = &knownQueue{priorities, nextLook(took)}
}

// appeared forgets what is not true any more since this store has made rows
// ready in a queue, the earliest at a certain time. What other processes do is
// found by full looks.
func (b *bounds) appeared(queue string, due int64, priorities []int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if q := b.queues[queue]; q != nil {
		for _, p := range priorities {
			if !slices.Contains(q.priorities, p) {
				delete(b.queues, queue)
				break
			}
		}
		if priorities == nil {
			delete(b.queues, queue)
		}
	}
	for l, e := range b.m {
		if l.queue == queue && e.due >= due {
			delete(b.m, l)
		}
	}
}

func (b *bounds) forget(l lane) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.m, l)
}
