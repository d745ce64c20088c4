package redis

import (
	"context"
	"fmt"
	"time"

	"github.com/gobellhop/bellhop"
)

// Enqueue implements [bellhop.Store].
func (s *Store) Enqueue(ctx context.Context, r *bellhop.EnqueueRequest) (receipts []bellhop.Receipt, err error) {
	err = s.verb(ctx, bellhop.OpEnqueue, func() error {
		in := items{list: make([]any, 0, 4*len(r.Jobs)+6*len(r.Puts)+4)}
		if err := appendPuts(&in, r.Puts); err != nil {
			return err
		}
		appendJobs(&in, r.Jobs)
		reply, err := s.run(ctx, bellhop.OpEnqueue, scriptEnqueue, in)
		if err != nil {
			return err
		}
		receipts, err = readReceipts(r, reply)
		return err
	})
	return receipts, err
}

func appendJobs(in *items, jobs []*bellhop.Job) {
	size := 0
	for _, j := range jobs {
		size += len(j.Args) + 80
	}
	room := make([]byte, 0, size) // grows if need be; what was cut from it before stays valid
	for _, j := range jobs {
		in.raw(j.ID[:])
		start := len(room)
		room = appendJob(room, j)
		in.raw(room[start:len(room):len(room)])
		in.text(laneOf(j))
		more := ""
		switch {
		case !j.RunAt.IsZero() && j.RunAt.UnixMicro() > 0:
			more = string(order.AppendUint64([]byte{'a'}, uint64(j.RunAt.UnixMicro())))
		case j.RunAt.IsZero() && j.Delay > 0:
			more = string(order.AppendUint64([]byte{'d'}, uint64(j.Delay/time.Microsecond)))
		case j.UniqueKey != "":
			more = "n\x00\x00\x00\x00\x00\x00\x00\x00"
		}
		in.text(more + ifSet(more != "", j.UniqueKey))
	}
}

func ifSet(yes bool, s string) string {
	if yes {
		return s
	}
	return ""
}

func readReceipts(r *bellhop.EnqueueRequest, reply any) ([]bellhop.Receipt, error) {
	l, err := row(reply, 2)
	if err != nil {
		return nil, err
	}
	switch text(l[0]) {
	case "conflict":
		return nil, misfit(r.Puts, integer(l[1]))
	case "taken":
		return nil, &bellhop.ItemError{Index: int(integer(l[1])), Err: bellhop.ErrIDTaken}
	}
	if l, err = row(reply, 4); err != nil {
		return nil, err
	}
	codes := text(l[2])
	if len(codes) != len(r.Jobs) {
		return nil, fmt.Errorf("the answer of a script has %d receipts for %d jobs", len(codes), len(r.Jobs))
	}
	receipts := make([]bellhop.Receipt, len(r.Jobs))
	for i, j := range r.Jobs {
		receipts[i] = bellhop.Receipt{ID: j.ID, State: bellhop.State(codes[i] - '0')}
	}
	for _, e := range list(l[3]) {
		e, err := row(e, 3)
		if err != nil {
			return nil, err
		}
		receipt := &receipts[integer(e[0])]
		copy(receipt.ID[:], text(e[1]))
		receipt.State, receipt.Existing = bellhop.State(integer(e[2])), true
	}
	return receipts, nil
}
