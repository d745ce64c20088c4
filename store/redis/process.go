package redis

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
)

// Beat implements [bellhop.Store].
func (s *Store) Beat(ctx context.Context, b *bellhop.Beat) (reply *bellhop.BeatReply, err error) {
	p := b.Process
	p.StartedAt = p.StartedAt.UTC().Truncate(time.Microsecond)
	self, err := json.Marshal(p)
	if err != nil { // texts, numbers and a time
		return nil, &bellhop.InvalidError{Index: -1, Field: "process", Reason: err.Error()}
	}
	in := items{}
	in.raw(b.Process.ID[:])
	in.raw(self)
	if b.Leave {
		in.text("")
	} else {
		in.number(int64(floorMicros(b.Lease)))
	}
	for _, t := range b.Held {
		in.raw(t.JobID[:])
		in.raw(appendToken(nil, t))
	}
	var lost []bellhop.Claim
	err = s.ask(ctx, bellhop.OpBeat, scriptBeat, in, func(answer any) error {
		l, err := row(answer, 1)
		if err == nil && text(l[0]) == "gone" {
			return fmt.Errorf("process %v: %w", b.Process.ID, bellhop.ErrProcessGone)
		}
		if l, err = row(answer, 5); err != nil {
			return err
		}
		r := &bellhop.BeatReply{Now: at(integer(l[1])), Cancel: readTokens(l[4])}
		for _, i := range list(l[2]) {
			r.Lost = append(r.Lost, b.Held[integer(i)])
		}
		r.Extra, lost, err = readClaims(l[3])
		reply = r
		return err
	})
	if err != nil {
		return nil, err
	}
	_ = s.bury(ctx, lost) // if that fails, the next beat finds them again
	return reply, nil
}

// Sweep implements [bellhop.Store]. Every half minute, by one of all processes, the jobs that are running are compared with the lists of what
// processes hold. Where lists were lost, as on a server that threw keys away, it writes them anew: the next sweep, or their process, goes by them.
func (s *Store) Sweep(ctx context.Context, limit int) (claims []bellhop.Claim, err error) {
	in := items{}
	in.number(int64(limit))
	in.number(compareEvery.Microseconds())
	var lost []bellhop.Claim
	missing := int64(0)
	err = s.ask(ctx, bellhop.OpSweep, scriptSweep, in, func(reply any) error {
		r, err := row(reply, 2)
		if err != nil {
			return err
		}
		missing = integer(r[1])
		claims, lost, err = readClaims(r[0])
		return err
	})
	if err == nil {
		err = s.bury(ctx, lost)
	}
	if err == nil && missing > 0 {
		err = s.relist(ctx, missing)
	}
	return claims, err
}

const (
	// compareEvery is how often the lists of running jobs are compared with their number, by one of all processes.
	compareEvery = 30 * time.Second
	// relistSome is how many places one run of a script looks at, for what is in no list, and relistFor how long one sweep goes on with it.
	relistSome = 1000
	relistFor  = 250 * time.Millisecond
)

// relist lists anew what is running and in no list. It goes on where the last one ended, and ends when so many are listed as are missing.
func (s *Store) relist(ctx context.Context, missing int64) error {
	s.relisting.Lock()
	defer s.relisting.Unlock()
	for began := time.Now(); missing > 0 && time.Since(began) < relistFor; {
		in := items{}
		in.text(cmp.Or(s.relistAt, "0"))
		in.number(relistSome)
		err := s.ask(ctx, bellhop.OpSweep, scriptRelist, in, func(reply any) error {
			r, err := row(reply, 2)
			if err == nil {
				s.relistAt = text(r[0])
				missing -= integer(r[1])
			}
			return err
		})
		if err != nil || s.relistAt == "0" {
			return err
		}
	}
	return nil
}

// Processes implements [bellhop.Store].
func (s *Store) Processes(ctx context.Context) (all []bellhop.ProcessStatus, err error) {
	err = s.ask(ctx, bellhop.OpProcesses, scriptProcesses, items{}, func(reply any) error {
		for three := range slices.Chunk(list(reply), 3) {
			r := reader{s: text(three[1])}
			status := bellhop.ProcessStatus{BeatAt: r.time(), Running: int(integer(three[2]))}
			if err := json.Unmarshal([]byte(r.s), &status.Process); err != nil {
				return fmt.Errorf("process %x: %w", text(three[0]), errBroken)
			}
			all = append(all, status)
		}
		return nil
	})
	slices.SortFunc(all, func(a, b bellhop.ProcessStatus) int {
		return cmp.Or(a.StartedAt.Compare(b.StartedAt), a.ID.Compare(b.ID))
	})
	return all, err
}
