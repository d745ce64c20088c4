package partition

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
)

// straying are the exchanges of one process with one part that were not waited for
// to the end, and the claims that they brought since.
type straying struct {
	under  []bellhop.ID
	claims []bellhop.Claim
}

// settled reports whether no reply is owed and none lies here.
func (st *straying) settled() bool { return st == nil || len(st.under) == 0 && len(st.claims) == 0 }

// strayingOf returns what is known of a process, made if need be. Claims of
// processes that have not come for them are left to their beats. Called under p.mu.
func (p *part) strayingOf(process bellhop.ID) *straying {
	if len(p.straying) >= maxProcesses {
		maps.DeleteFunc(p.straying, func(id bellhop.ID, st *straying) bool { return id != process && len(st.under) == 0 })
	}
	if p.straying[process] == nil {
		p.straying[process] = &straying{}
	}
	return p.straying[process]
}

// stray leaves a leg that has not answered to itself. Its outcomes are unsettled,
// and what it claims comes with a later exchange of the process. Until it is over the
// part is asked for nothing more.
func (x *exchange) stray(l *leg) {
	x.under = slices.DeleteFunc(x.under, func(o *leg) bool { return o == l })
	p, process := l.part, l.request.Process
	p.mu.Lock()
	if l.finished {
		p.mu.Unlock()
		x.take(l) // its answer is on the way
		return
	}
	l.strayed, l.unhook = true, context.AfterFunc(x.s.base, l.cancel)
	st := p.strayingOf(process)
	st.under = append(st.under, l.request.ID)
	p.owed++
	p.mu.Unlock()
	x.miss(l, &partError{p.name, errLate})
	time.AfterFunc(strayTimeout, l.cancel)
	time.AfterFunc(outAfter-x.s.patience.exchange, func() {
		p.mu.Lock()
		late := !l.finished
		p.mu.Unlock()
		if late {
			p.heard(context.Background(), errLate)
		}
	})
}

// bring lays down what a stray leg brought where the next exchange finds it.
func (s *Store) bring(l *leg) {
	p, process := l.part, l.request.Process
	l.unhook()
	var claims []bellhop.Claim
	if l.err == nil {
		claims = l.reply.Claims
		p.due(l.reply.Signals.NextDue)
	}
	s.ledger.add(claims, p.index)
	p.mu.Lock()
	p.owed--
	if st := p.straying[process]; st != nil { // else the process has left: its claims are for the sweep
		st.under = slices.DeleteFunc(st.under, func(id bellhop.ID) bool { return id == l.request.ID })
		st.claims = append(st.claims, claims...)
		if st.settled() || errors.Is(l.err, bellhop.ErrProcessGone) {
			delete(p.straying, process)
		}
	}
	p.busy = p.busy || len(claims) > 0
	p.mu.Unlock()
	s.tell()
}

// collect returns the claims that stray exchanges have brought for the process of
// an exchange, which has begun.
func (s *Store) collect(r *bellhop.ExchangeRequest) (claims []bellhop.Claim) {
	if r.Process.IsZero() {
		return nil
	}
	for _, p := range s.parts {
		p.mu.Lock()
		if st := p.straying[r.Process]; st != nil {
			s.recent.collected(r, st.claims) // before they are taken away: a beat looks here first
			claims = append(claims, st.claims...)
			if st.claims = nil; st.settled() {
				delete(p.straying, r.Process)
			}
		}
		p.mu.Unlock()
	}
	return claims
}

// giveBack lays claims that were collected down again.
func (s *Store) giveBack(process bellhop.ID, claims []bellhop.Claim) {
	for i := range claims {
		s.ledger.mu.Lock()
		at, _ := s.ledger.find(claims[i].Token)
		s.ledger.mu.Unlock()
		p := s.parts[at]
		p.mu.Lock()
		st := p.strayingOf(process)
		st.claims = append(st.claims, claims[i])
		p.mu.Unlock()
	}
}
