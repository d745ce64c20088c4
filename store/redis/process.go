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

// Sweep implements [bellhop.Store].
func (s *Store) Sweep(ctx context.Context, limit int) (claims []bellhop.Claim, err error) {
	in := items{}
	in.number(int64(limit))
	var lost []bellhop.Claim
	err = s.ask(ctx, bellhop.OpSweep, scriptSweep, in, func(reply any) (err error) {
		claims, lost, err = readClaims(reply)
		return err
	})
	if err == nil {
		err = s.bury(ctx, lost)
	}
	return claims, err
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
