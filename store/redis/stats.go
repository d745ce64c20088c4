package redis

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

// enoughLanes is how many lanes one run of a script looks at, for the whole server waits meanwhile, and manyQueues of how many queues.
const enoughLanes, manyQueues = 2000, 1000

// Stats implements [bellhop.Store]. The counts are of one moment; since when the oldest jobs are due is asked after that, of some
// queues at a time.
func (s *Store) Stats(ctx context.Context, limit int) (all []bellhop.QueueStats, err error) {
	err = s.verb(ctx, bellhop.OpStats, func() error {
		reply, err := s.run(ctx, bellhop.OpStats, scriptStats, items{})
		if err != nil {
			return err
		}
		if all, err = readStats(reply, limit); err != nil {
			return err
		}
		if limit == 0 { // the rest of a reply that is small anyway
			all = slices.DeleteFunc(all, func(q bellhop.QueueStats) bool { return !q.Paused })
			for i := range all {
				all[i].NextDue = time.Time{}
			}
		}
		return s.oldest(ctx, all)
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// oldest fills in since when the oldest ready job of each queue is due.
func (s *Store) oldest(ctx context.Context, all []bellhop.QueueStats) error {
	ready := map[string]*bellhop.QueueStats{}
	var names []string
	for i := range all {
		if all[i].Ready > 0 {
			ready[all[i].Queue] = &all[i]
			names = append(names, all[i].Queue)
		}
	}
	for len(names) > 0 {
		in := items{}
		in.number(enoughLanes)
		for _, name := range names[:min(len(names), manyQueues)] {
			in.text(name)
		}
		reply, err := s.run(ctx, bellhop.OpStats, scriptOldest, in)
		if err != nil {
			return err
		}
		r, err := row(reply, 1)
		if err != nil {
			return err
		}
		for pair := range slices.Chunk(r[1:], 2) {
			if q := ready[text(pair[0])]; q != nil {
				q.OldestReady = at(score(text(pair[1])))
			}
		}
		names = names[max(1, min(int(integer(r[0])), len(names))):]
	}
	return nil
}

func readStats(reply any, limit int) ([]bellhop.QueueStats, error) {
	r, err := row(reply, 3)
	if err != nil {
		return nil, err
	}
	queues := map[string]*bellhop.QueueStats{}
	of := func(name string) *bellhop.QueueStats {
		if queues[name] == nil {
			queues[name] = &bellhop.QueueStats{Queue: name, Limit: limit}
		}
		return queues[name]
	}
	for pair := range slices.Chunk(list(r[0]), 2) {
		state, name := stateAndQueue(text(pair[0]))
		n := min(int(integer(pair[1])), limit)
		switch state {
		case bellhop.StateScheduled:
			of(name).Scheduled = n
		case bellhop.StateBlocked:
			of(name).Blocked = n
		case bellhop.StateReady:
			of(name).Ready = n
		case bellhop.StateRunning:
			of(name).Running = n
		case bellhop.StateDead:
			of(name).Dead = n
		}
	}
	for _, name := range list(r[1]) {
		of(text(name)).Paused = true
	}
	for pair := range slices.Chunk(list(r[2]), 2) {
		of(text(pair[0])).NextDue = at(score(text(pair[1])))
	}
	all := make([]bellhop.QueueStats, 0, len(queues))
	for _, q := range queues {
		all = append(all, *q)
	}
	slices.SortFunc(all, func(a, b bellhop.QueueStats) int { return strings.Compare(a.Queue, b.Queue) })
	return all, nil
}
