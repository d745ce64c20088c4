package redis

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/gobellhop/bellhop"
)

// Enqueue implements [bellhop.Store].
func (s *Store) Enqueue(ctx context.Context, r *bellhop.EnqueueRequest) (receipts []bellhop.Receipt, err error) {
	err = s.verb(ctx, bellhop.OpEnqueue, func() error {
		in := items{list: make([]any, 0, 2*len(r.Jobs)+6*len(r.Puts)+8)}
		if err := appendPuts(&in, r.Puts); err != nil {
			return err
		}
		runs := appendJobs(&in, r.Jobs)
		reply, err := s.run(ctx, bellhop.OpEnqueue, scriptEnqueue, in)
		if err != nil {
			return err
		}
		receipts, err = readReceipts(r, runs, reply)
		return err
	})
	return receipts, err
}

// inPlace is up to how many bytes of a job stand in its place; more stand apart, so that they are not moved about with it.
const inPlace = 256

// appendJobs writes jobs as the script enqueue takes them, and returns the sizes of the runs of jobs that are alike.
func appendJobs(in *items, jobs []*bellhop.Job) (runs []int) {
	in.number(int64(len(jobs)))
	size := 0
	for _, j := range jobs {
		in.raw(j.ID[:])
		size += len(j.Args) + len(j.Queue) + len(j.Kind) + 80
	}
	room := make([]byte, 0, size) // grows if need be; what was cut from it before stays valid
	var last *bellhop.Job         // of the run that goes on
	lastApart, head := false, 0
	for _, j := range jobs {
		start := len(room)
		room = append(room, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) // attempt, failures, crashes
		room = appendShort(room, laneOf(j))
		room = append(room, 0, 0)
		content := len(room)
		room = appendJob(room, j)
		n := len(room) - content
		apart := n > inPlace
		if last == nil || apart != lastApart || !alike(j, last) {
			head = len(in.list)
			in.text("")
			in.text(laneOf(j))
			in.text(moreOf(j))
			in.text(ifSet(apart, "1"))
			runs, last, lastApart = append(runs, 0), j, apart
		}
		runs[len(runs)-1]++
		in.list[head] = strconv.Itoa(runs[len(runs)-1])
		if apart {
			in.raw(room[start:content:content])
			in.raw(room[content:len(room):len(room)])
		} else {
			order.PutUint16(room[content-2:], uint16(n))
			in.raw(room[start:len(room):len(room)])
		}
	}
	return runs
}

// alike reports whether two jobs have the same lane and due time, and no unique key.
func alike(a, b *bellhop.Job) bool {
	return a.Kind == b.Kind && a.Queue == b.Queue && a.Priority == b.Priority && a.UniqueKey == "" && b.UniqueKey == "" &&
		a.RunAt.Equal(b.RunAt) && a.Delay == b.Delay
}

// moreOf returns a job's due time and unique key; empty for one that has neither.
func moreOf(j *bellhop.Job) string {
	switch {
	case !j.RunAt.IsZero() && j.RunAt.UnixMicro() > 0:
		return string(order.AppendUint64([]byte{'a'}, uint64(j.RunAt.UnixMicro()))) + j.UniqueKey
	case j.RunAt.IsZero() && j.Delay > 0:
		return string(order.AppendUint64([]byte{'d'}, uint64(j.Delay/time.Microsecond))) + j.UniqueKey
	case j.UniqueKey != "":
		return "n\x00\x00\x00\x00\x00\x00\x00\x00" + j.UniqueKey
	}
	return ""
}

func ifSet(yes bool, s string) string {
	if yes {
		return s
	}
	return ""
}

func readReceipts(r *bellhop.EnqueueRequest, runs []int, reply any) ([]bellhop.Receipt, error) {
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
	states := text(l[2])
	if len(states) != len(runs) {
		return nil, fmt.Errorf("the answer of a script has %d states for %d runs of jobs", len(states), len(runs))
	}
	receipts := make([]bellhop.Receipt, 0, len(r.Jobs))
	for run, n := range runs {
		for range n {
			receipts = append(receipts, bellhop.Receipt{ID: r.Jobs[len(receipts)].ID, State: bellhop.State(states[run] - '0')})
		}
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
