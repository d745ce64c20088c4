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
	// underWay counts the calls of offer, and what was offered until Done has returned.
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

// none reports whether there is nobody to ask.
func (l *joiners) none() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all) == 0
}

// ask asks one after the other until somebody offers something, who is then under way.
// They take turns: whoever was asked comes last the next time.
func (l *joiners) ask(ready []*bellhop.Job) (by *joiner, offer *bellhop.Offer) {
	l.mu.Lock()
	all := l.all
	l.mu.Unlock()
	for _, j := range all {
		if offer = l.askOne(j, ready); offer != nil {
			return j, offer
		}
	}
	return nil, nil
}

func (l *joiners) askOne(j *joiner, ready []*bellhop.Job) (offer *bellhop.Offer) {
	l.mu.Lock()
	i := slices.Index(l.all, j)
	if i >= 0 {
		j.underWay.Add(1)
	}
	if i >= 0 && len(l.all) > 1 {
		l.all = append(slices.Delete(slices.Clone(l.all), i, i+1), j)
	}
	l.mu.Unlock()
	if i < 0 { // it has stopped meanwhile
		return nil
	}
	defer func() {
		if offer == nil {
			j.underWay.Done()
		}
	}()
	return j.offer(ready)
}

// errNotEnded is what a claim hears of an enqueue that has panicked.
var errNotEnded = errors.New("the enqueue has not ended well")

// join is the claim within an enqueue.
type join struct {
	store *Store
	asked bool           // somebody was, in this try of the transaction or an earlier one
	by    *joiner        // nil if nobody has offered anything, or it was told what came of it
	offer *bellhop.Offer // what it has offered
	reply *bellhop.ExchangeReply
	gone  bool
	// sound is [Store.sound] for what was claimed.
	sound func(claims []bellhop.Claim) []bellhop.Claim
}

// do claims what somebody offers to take of the jobs of the transaction, which are enqueued. If that
// fails the transaction is to be tried again, without it; if something else does, with it.
func (j *join) do(ctx context.Context, t *txn, jobs []*bellhop.Job, receipts []bellhop.Receipt) (err error) {
	if j.asked && j.by == nil || !j.asked && (len(t.woken) == 0 || j.store.joiners.none()) {
		return nil
	}
	ready := make([]*bellhop.Job, 0, len(jobs))
	for i, job := range jobs {
		if r := &receipts[i]; r.State == bellhop.StateReady && !r.Existing {
			ready = append(ready, job)
		}
	}
	if !j.asked {
		j.asked = true
		if j.by, j.offer = j.store.joiners.ask(ready); j.by == nil {
			return nil
		}
	}
	if j.reply, j.gone, err = t.exchange(ctx, j.offer.Request, likely); err != nil {
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
	if err != nil {
		reply = nil
	} else {
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
