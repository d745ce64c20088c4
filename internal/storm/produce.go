//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
)

// accepted is a job that the store has taken, and how it is to end.
type accepted struct {
	work work
	want bellhop.State
}

// producer enqueues jobs of all sorts, as long as the storm lasts.
type producer struct {
	client *bellhop.Client
	mu     sync.Mutex
	jobs   map[bellhop.ID]accepted
	unsure int // enqueues whose answer did not come, and that were repeated
	lost   int // unique jobs that another stood in the way of
	n      int
}

// pace is how often each producer enqueues.
const pace = 20 * time.Millisecond

// run enqueues until ctx ends, and returns the first error that is not one of a busy store.
func (p *producer) run(ctx context.Context, random *rand.Rand) error {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := p.enqueue(p.choose(random)); err != nil {
			return err
		}
	}
}

// choose makes one call's jobs.
func (p *producer) choose(random *rand.Rand) []draft {
	p.mu.Lock()
	p.n++
	n := p.n
	p.mu.Unlock()
	one := func(w work, opts ...bellhop.Option) []draft {
		w.N = n
		return []draft{{w, bellhop.NewID(), opts}}
	}
	switch pick := random.IntN(100); {
	case pick < 40:
		return one(work{})
	case pick < 52:
		return one(work{Takes: time.Duration(50+random.IntN(550)) * time.Millisecond})
	case pick < 64:
		return one(work{Fails: 1 + random.IntN(2)})
	case pick < 76:
		return one(work{}, bellhop.In(time.Duration(random.IntN(3000))*time.Millisecond))
	case pick < 84:
		return one(work{Takes: 20 * time.Millisecond}, bellhop.UniqueKey(fmt.Sprint(random.IntN(20))))
	case pick < 90:
		return one(work{Chain: true})
	case pick < 93:
		return one(work{Ending: "dead"})
	case pick < 96:
		return one(work{Ending: "discard"}, bellhop.Priority(-5))
	}
	bulk := make([]draft, 100)
	for i := range bulk {
		bulk[i] = draft{work: work{N: n}, id: bellhop.NewID()}
	}
	return bulk
}

type draft struct {
	work work
	id   bellhop.ID
	opts []bellhop.Option
}

// enqueue hands the jobs over, and notes those that were accepted. If the
// answer does not come, the same jobs are handed over again.
func (p *producer) enqueue(list []draft) error {
	drafts := make([]bellhop.Draft, len(list))
	for i, d := range list {
		kind := plain
		if d.work.N%3 == 0 {
			kind = second
		}
		drafts[i] = kind.New(d.work, append(d.opts, bellhop.WithID(d.id))...)
	}
	for began := time.Now(); ; {
		receipts, err := bellhop.Enqueue(context.Background(), p.client, drafts...)
		if err == nil {
			p.accept(list, receipts)
			return nil
		}
		if errors.Is(err, bellhop.ErrSpans) { // the store is made of several, of which each takes its own
			for i := range list {
				if err := p.enqueue(list[i : i+1]); err != nil {
					return err
				}
			}
			return nil
		}
		if time.Since(began) > settleWithin || !errors.Is(err, bellhop.ErrUnknown) && !errors.Is(err, bellhop.ErrUnavailable) {
			return fmt.Errorf("enqueue: %w", err)
		}
		p.mu.Lock()
		p.unsure++
		p.mu.Unlock()
		time.Sleep(50 * time.Millisecond) // the store is busy or away; nothing tells when it is back
	}
}

func (p *producer) accept(list []draft, receipts []bellhop.Receipt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, r := range receipts {
		w := list[i].work
		if r.ID != list[i].id {
			p.lost++ // another unique job is there, and that one counts
			continue
		}
		want := bellhop.StateSucceeded
		switch w.Ending {
		case "dead":
			want = bellhop.StateDead
		case "discard":
			want = bellhop.StateDiscarded
		}
		p.jobs[r.ID] = accepted{w, want}
		if w.Chain {
			p.jobs[childID(r.ID)] = accepted{work{}, bellhop.StateSucceeded}
		}
	}
}

// ids returns the accepted jobs.
func (p *producer) ids() []bellhop.ID {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]bellhop.ID, 0, len(p.jobs))
	for id := range p.jobs {
		list = append(list, id)
	}
	return list
}
