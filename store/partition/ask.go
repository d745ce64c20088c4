package partition

import (
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
)

// idleEvery is how often a part in which there was nothing to do is asked while
// others are busy.
const idleEvery = 200 * time.Millisecond

// share is what one part is asked for.
type share struct {
	wants []bellhop.Want
	limit int
}

// asking divides the claims of an exchange among the parts, so that none starves
// and none is asked in vain. First those are asked that had something to do lately,
// have been told of something, or were not asked for a while. What they leave is
// asked of those that gave all they were asked for, and if none gave anything, of all.
type asking struct {
	wants []bellhop.Want // what is still wanted
	left  int            // claims that may still be made
	any   bool           // something was claimed
	// listens says that nothing is claimed: all parts are asked what there is to hear.
	listens bool
	open    []*part // that may be asked and were not; the one whose turn it is to be first is first
	given   []gift
	// final says that nothing more is asked for once anything was given.
	final bool
}

// gift is what a part gave for its share, by the wants.
type gift struct {
	part  *part
	share *share
	got   []int
	sum   int
}

// mayHaveMore reports whether the part gave all it was asked for of something that
// is still wanted.
func (g *gift) mayHaveMore(wants []bellhop.Want) bool {
	for w, want := range wants {
		if asked := g.share.wants[w].Count; want.Count > 0 && asked > 0 && (g.got[w] >= asked || g.sum >= g.share.limit) {
			return true
		}
	}
	return false
}

// newAsking returns which parts may be asked. Those that have not heard of the
// process are not, nor those that owe a reply.
func (s *Store) newAsking(r *bellhop.ExchangeRequest, limit int) *asking {
	a := &asking{wants: slices.Clone(r.Wants), left: max(limit, 0)}
	if r.Process.IsZero() {
		return a
	}
	now := time.Now()
	a.listens = !a.wanting()
	for _, p := range s.rotated() {
		p.mu.Lock()
		if !p.missed[r.Process] && p.mayTry(now) && (a.listens || slices.ContainsFunc(r.Wants, p.takes)) {
			a.open = append(a.open, p)
		}
		p.mu.Unlock()
	}
	return a
}

// wanting reports whether claims are still wanted.
func (a *asking) wanting() bool {
	return a.left > 0 && slices.ContainsFunc(a.wants, func(w bellhop.Want) bool { return w.Count > 0 })
}

// takes reports whether jobs of the wanted queue may be in the part. Called under p.mu.
func (p *part) takes(want bellhop.Want) bool {
	return p.router.by == ByKey || p.router.of(want.Queue) == p.index || p.strays[want.Queue]
}

// likely reports whether the part may have work.
func (p *part) likely(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.busy || p.woken || now.Sub(p.askedAt) >= idleEvery
}

// next returns the shares of the parts that are asked first; called says which are
// called in any case.
func (a *asking) next(called func(*part) bool) map[*part]*share {
	now := time.Now()
	chosen := slices.DeleteFunc(slices.Clone(a.open), func(p *part) bool { return !a.listens && !called(p) && !p.likely(now) })
	if len(chosen) == 0 {
		chosen = a.open
	}
	return a.divide(chosen)
}

// more returns the shares of the parts that are asked then, if anything is still wanted.
func (a *asking) more() map[*part]*share {
	if !a.wanting() || a.any && a.final {
		return nil
	}
	now := time.Now()
	var chosen []*part
	for i := range a.given {
		if g := &a.given[i]; g.mayHaveMore(a.wants) {
			chosen = append(chosen, g.part)
		}
	}
	a.given = nil
	for _, p := range a.open {
		if !a.any || p.likely(now) {
			chosen = append(chosen, p)
		}
	}
	return a.divide(chosen)
}

// take says that a part is asked.
func (a *asking) take(p *part) {
	a.open = slices.DeleteFunc(a.open, func(o *part) bool { return o == p })
}

// gave notes what a part gave for its share.
func (a *asking) gave(p *part, sh *share, claims []bellhop.Claim) {
	g := gift{part: p, share: sh, got: make([]int, len(a.wants)), sum: len(claims)}
	for i := range claims {
		// A queue that is wanted twice is counted at the first that has room.
		for w := range a.wants {
			if a.wants[w].Queue == claims[i].Job.Queue && a.wants[w].Count > 0 {
				a.wants[w].Count--
				g.got[w]++
				break
			}
		}
	}
	a.left -= len(claims)
	a.any = a.any || len(claims) > 0
	a.given = append(a.given, g)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy = len(claims) > 0
	for w, want := range sh.wants {
		if want.Count > 0 && g.got[w] == 0 {
			delete(p.strays, want.Queue)
		}
	}
}

// divide deals out the count of each want, and then the limit, as evenly as it
// goes. A part for which nothing is left gets no share, if there was something to
// deal out.
func (a *asking) divide(parts []*part) map[*part]*share {
	shares := make(map[*part]*share, len(parts))
	most := make(map[*part]int, len(parts)) // the sum of a part's counts
	for _, p := range parts {
		shares[p] = &share{wants: slices.Clone(a.wants)}
	}
	for w, want := range a.wants {
		var takers []*part
		for _, p := range parts {
			shares[p].wants[w].Count = 0 // named all the same, to hear whether it is paused
			p.mu.Lock()
			if p.takes(want) {
				takers = append(takers, p)
			}
			p.mu.Unlock()
		}
		left := want.Count
		for i, p := range takers {
			n := portion(left, len(takers)-i)
			left -= n
			shares[p].wants[w].Count = n
			most[p] += n
		}
	}
	hungry := parts
	for left := a.left; left > 0; {
		hungry = slices.DeleteFunc(slices.Clone(hungry), func(p *part) bool { return shares[p].limit >= most[p] })
		if len(hungry) == 0 {
			break
		}
		for i, p := range hungry {
			n := min(portion(left, len(hungry)-i), most[p]-shares[p].limit)
			left -= n
			shares[p].limit += n
		}
	}
	if !a.listens {
		maps.DeleteFunc(shares, func(_ *part, sh *share) bool { return sh.limit == 0 })
	}
	for p := range shares {
		a.take(p)
	}
	return shares
}

// portion returns the first of n even portions, which takes what does not come out even.
func portion(whole, n int) int { return (whole + n - 1) / n }

// recent remembers the legs of the newest exchanges, so that one that is repeated
// asks the same parts for the same: each answers with the claims that it made.
type recent struct {
	mu    sync.Mutex
	legs  map[bellhop.ID][]*leg
	order []bellhop.ID
	// active are the exchanges under way, by process: a beat must not take what they
	// have claimed for lost.
	active map[bellhop.ID][]bellhop.ID
	// late are the exchanges that were not waited for and of whose claims one under
	// way tells, by that one.
	late map[bellhop.ID][]bellhop.ID
}

const recentExchanges = 256

// begin returns the legs of the exchange if it was made before.
func (c *recent) begin(r *bellhop.ExchangeRequest) []*leg {
	if r.Process.IsZero() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.legs == nil {
		c.legs, c.active, c.late = map[bellhop.ID][]*leg{}, map[bellhop.ID][]bellhop.ID{}, map[bellhop.ID][]bellhop.ID{}
	}
	c.active[r.Process] = append(c.active[r.Process], r.ID)
	return slices.Clone(c.legs[r.ID])
}

// end says that the exchange is over.
func (c *recent) end(r *bellhop.ExchangeRequest) {
	if r.Process.IsZero() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := c.active[r.Process]
	if at := slices.Index(ids, r.ID); at >= 0 {
		ids = slices.Delete(ids, at, at+1)
	}
	if c.active[r.Process] = ids; len(ids) == 0 {
		delete(c.active, r.Process)
	}
	if !slices.Contains(ids, r.ID) {
		delete(c.late, r.ID)
	}
}

// collected notes that the exchange, which has begun, tells of the claims of others.
func (c *recent) collected(r *bellhop.ExchangeRequest, claims []bellhop.Claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range claims {
		if id := claims[i].Token.Exchange; !slices.Contains(c.late[r.ID], id) {
			c.late[r.ID] = append(c.late[r.ID], id)
		}
	}
}

// note remembers a leg. The same exchange may be under way several times at once.
func (c *recent) note(r *bellhop.ExchangeRequest, l *leg) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.legs[r.ID]
	if before == nil {
		if c.order = append(c.order, r.ID); len(c.order) > recentExchanges {
			delete(c.legs, c.order[0])
			c.order = c.order[1:]
		}
	}
	if !slices.ContainsFunc(before, func(b *leg) bool { return b.part == l.part && b.request.ID == l.request.ID }) {
		own := &leg{part: l.part, share: l.share, request: l.request}
		own.request.Outcomes = nil
		c.legs[r.ID] = append(before, own)
	}
}

// again returns the id under which a part is asked for the time-th time by one
// exchange: under its own id it would only repeat what it has claimed.
func again(id bellhop.ID, time int) bellhop.ID {
	if time == 0 {
		return id
	}
	return bellhop.IDFromKey("partition", id.String()+" "+strconv.Itoa(time))
}

// under returns the ids under which exchanges of a process are under way to the parts.
func (c *recent) under(process bellhop.ID) (ids []bellhop.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range c.active[process] {
		ids = append(ids, c.late[id]...)
		for _, l := range c.legs[id] {
			ids = append(ids, l.request.ID)
		}
	}
	return ids
}
