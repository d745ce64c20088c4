package storetest

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/gobellhop/bellhop"
)

// simpleJoiner makes any store a [bellhop.Joiner], by an exchange right after each enqueue, with one mistake or none.
type simpleJoiner struct {
	Pass
	mistake string

	mu      sync.Mutex
	joiners []*simpleParty
}

type simpleParty struct {
	offer    func([]*bellhop.Job) *bellhop.Offer
	underWay sync.WaitGroup
}

func (s *simpleJoiner) Join(offer func([]*bellhop.Job) *bellhop.Offer) (stop func()) {
	p := &simpleParty{offer: offer}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.joiners = append(s.joiners, p)
	return func() {
		s.mu.Lock()
		s.joiners = slices.DeleteFunc(s.joiners, func(o *simpleParty) bool { return o == p && s.mistake != "goes on asking" })
		s.mu.Unlock()
		p.underWay.Wait()
	}
}

func (s *simpleJoiner) Enqueue(ctx context.Context, r *bellhop.EnqueueRequest) ([]bellhop.Receipt, error) {
	receipts, err := s.Store.Enqueue(ctx, r)
	var ready []*bellhop.Job
	for i := range receipts {
		if s.mistake == "asks for all" || receipts[i].State == bellhop.StateReady && !receipts[i].Existing {
			ready = append(ready, r.Jobs[i])
		}
	}
	if err != nil && s.mistake == "claims though it fails" {
		ready = r.Jobs
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(ready) == 0 {
		return receipts, err
	}
	for _, p := range s.joiners {
		o := p.offer(ready)
		if s.joiners = append(s.joiners[1:len(s.joiners):len(s.joiners)], p); s.mistake == "asks the same first" {
			s.joiners = append([]*simpleParty{p}, s.joiners[:len(s.joiners)-1]...)
		}
		if o == nil && s.mistake == "asks one only" {
			break
		}
		if o == nil {
			continue
		}
		request := *o.Request
		if s.mistake == "claims under an id of its own" {
			request.ID = bellhop.NewID()
		}
		reply, failed := s.Exchange(ctx, &request)
		if failed != nil && s.mistake == "fails with the claim" {
			return nil, failed
		}
		if s.mistake == "keeps errors to itself" {
			failed = nil
		}
		p.underWay.Go(func() { o.Done(reply, failed) })
		break
	}
	return receipts, err
}

// TestJoinerTests: a store that claims right after each enqueue passes, and one that makes a mistake does not.
func TestJoinerTests(t *testing.T) {
	for _, mistake := range []string{
		"", "goes on asking", "asks for all", "claims though it fails", "asks the same first", "asks one only",
		"claims under an id of its own", "fails with the claim", "keeps errors to itself",
	} {
		t.Run(mistake, func(t *testing.T) {
			found := ""
			h := mutantHarness(func(s bellhop.Store) bellhop.Store { return &simpleJoiner{Pass: Pass{s}, mistake: mistake} })
			for _, c := range joinerTests {
				failed := fails(t, part{c.name, func(t testing.TB, h Harness) { c.run(newTry(unskipped{t}, h)) }}, h)
				if failed != "" {
					t.Logf("%s: %s", c.name, failed)
					found = failed
				}
			}
			if (found == "") != (mistake == "") {
				t.Errorf("the tests found %q", found)
			}
		})
	}
}

// unskipped is a test that fails if it is skipped.
type unskipped struct{ testing.TB }

func (u unskipped) Skip(args ...any) { u.Fatal(args...) }
