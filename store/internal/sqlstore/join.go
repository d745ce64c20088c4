package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/gobellhop/bellhop"
)

// JoinEnqueues implements [bellhop.Joiner] for databases with a single writer: there a claim cannot
// go beside an enqueue, and waits for its commit.
func (s *Store) JoinEnqueues(offer func(ready []*bellhop.Job) *bellhop.Offer) (stop func()) {
	return s.joiners.add(offer)
}

// joiners are those who let enqueues claim for them.
type joiners struct {
	mu  sync.Mutex
	all []*joiner
}

type joiner struct {
	offer func(ready []*bellhop.Job) *bellhop.Offer
	// underWay counts the calls of offer and what came of them that have not ended.
	underWay sync.WaitGroup
}

func (l *joiners) add(offer func(ready []*bellhop.Job) *bellhop.Offer) (remove func()) {
	entry := &joiner{offer: offer}
	l.mu.Lock()
	l.all = append(l.all, entry)
	l.mu.Unlock()
	return func() {
		l.mu.Lock()
		l.all = slices.DeleteFunc(slices.Clone(l.all), func(j *joiner) bool { return j == entry })
		l.mu.Unlock()
		entry.underWay.Wait()
	}
}

// ask returns the next joiner, whose call is under way from now on; nil if there is none.
// They take turns.
func (l *joiners) ask() *joiner {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		return nil
	}
	j := l.all[0]
	if len(l.all) > 1 {
		l.all = append(slices.Clone(l.all[1:]), j)
	}
	j.underWay.Add(1)
	return j
}

// join is the claim within an enqueue.
type join struct {
	store *Store
	by    *joiner        // nil if nobody was asked, or the claim has ended
	offer *bellhop.Offer // nil if it was declined
	reply *bellhop.ExchangeReply
	gone  bool
	// sound is [Store.sound] for what was claimed.
	sound func(claims []bellhop.Claim) []bellhop.Claim
	over  bool // it has failed: the enqueue goes on without it
}

// do claims what somebody offers to take of the jobs of the transaction, which are enqueued. If that
// fails the transaction is to be tried again, without it.
func (j *join) do(ctx context.Context, t *txn, jobs []*bellhop.Job, receipts []bellhop.Receipt) (err error) {
	if j.over || len(t.woken) == 0 {
		return nil
	}
	asked := j.by != nil // in an earlier try
	if !asked {
		if j.by = j.store.joiners.ask(); j.by == nil {
			return nil
		}
	}
	ready := make([]*bellhop.Job, 0, len(jobs))
	for i, job := range jobs {
		if r := &receipts[i]; r.State == bellhop.StateReady && !r.Existing {
			ready = append(ready, job)
		}
	}
	if !asked {
		j.offer = j.by.offer(ready)
	}
	if j.offer == nil {
		return nil
	}
	if j.reply, j.gone, err = t.exchange(ctx, j.offer.Request, likely); err != nil {
		j.over = true
		j.end(err)
		return fmt.Errorf("%w: a claim within an enqueue: %w", ErrAgain, err)
	}
	damaged := t.damaged
	j.sound = func(claims []bellhop.Claim) []bellhop.Claim {
		return t.store.sound(context.WithoutCancel(ctx), claims, damaged)
	}
	if j.all(ready) {
		t.woken = nil // there is nothing left to wake anybody for
	}
	return nil
}

// all reports whether all of the jobs were claimed.
func (j *join) all(jobs []*bellhop.Job) bool {
	claims := j.reply.Claims
	if len(claims) < len(jobs) {
		return false
	}
	claimed := make(map[bellhop.ID]bool, len(claims))
	for i := range claims {
		claimed[claims[i].Job.ID] = true
	}
	return !slices.ContainsFunc(jobs, func(job *bellhop.Job) bool { return !claimed[job.ID] })
}

// end tells what became of the claim, if one was offered and that was not told before.
func (j *join) end(err error) {
	by, offer, reply, sound := j.by, j.offer, j.reply, j.sound
	if j.by = nil; by == nil {
		return
	}
	if offer == nil {
		by.underWay.Done()
		return
	}
	switch {
	case err != nil:
		reply = nil
	case reply == nil: // a panic passes by
		err = errors.New("the enqueue has not ended well")
	default:
		reply, err = j.store.exchanged(offer.Request, reply, j.gone, nil)
	}
	go func() {
		defer by.underWay.Done()
		if err == nil {
			reply.Claims = sound(reply.Claims)
		}
		offer.Done(reply, err)
	}()
}
