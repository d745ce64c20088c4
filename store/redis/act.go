package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

// Act implements [bellhop.Store].
func (s *Store) Act(ctx context.Context, r *bellhop.ActRequest) (*bellhop.ActReply, error) {
	if !r.Action.Valid() {
		return nil, &bellhop.InvalidError{Index: -1, Field: "action", Reason: r.Action.String() + " is unknown"}
	}
	if len(r.Filter.NotQueues) > 0 || r.Filter.ByFailure() || len(r.Filter.Args) > 0 || !r.Filter.FinishedAfter.IsZero() || !r.Filter.FinishedBefore.IsZero() {
		return nil, fmt.Errorf("these conditions of the filter: %w", bellhop.ErrUnsupported)
	}
	in, err := actItems(r)
	if err != nil {
		return nil, err
	}
	reply := &bellhop.ActReply{}
	err = s.ask(ctx, bellhop.OpAct, scriptAct, in, func(answer any) error {
		l, err := row(answer, 4)
		if err != nil {
			return err
		}
		reply.Changed, reply.Signalled, reply.Next = readIDs(l[0]), readIDs(l[1]), text(l[3])
		for three := range slices.Chunk(list(l[2]), 3) {
			skip := bellhop.Skip{State: bellhop.State(integer(three[1]))}
			copy(skip.ID[:], text(three[0]))
			copy(skip.Holder[:], text(three[2]))
			if len(r.IDs) > 0 || !skip.Holder.IsZero() {
				reply.Skipped = append(reply.Skipped, skip)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return reply, nil
}

func actItems(r *bellhop.ActRequest) (items, error) {
	in := items{}
	var f bellhop.Filter
	if len(r.IDs) == 0 {
		f = r.Filter
	}
	appendFilter(&in, &f)
	in.text(r.Action.String())
	in.text(digits(r.Action.From()))
	in.text(digits(bellhop.States(r.Action.To())))
	in.number(int64((&bellhop.Job{}).Keep(r.Action.To()) / time.Microsecond))
	in.text(keepable(r.Reason))
	limit := r.Limit
	if limit <= 0 || limit > maxPage {
		limit = maxPage
	}
	if err := appendPage(&in, r.After, limit); err != nil {
		return in, err
	}
	for i := range r.IDs {
		in.raw(r.IDs[i][:])
	}
	return in, nil
}

// digits returns the states of a set as the scripts know them: "134".
func digits(set bellhop.StateSet) string {
	var b strings.Builder
	for _, state := range set.List() {
		b.WriteByte('0' + byte(state))
	}
	return b.String()
}

func readIDs(v any) (ids []bellhop.ID) {
	for _, id := range list(v) {
		ids = append(ids, bellhop.ID{})
		copy(ids[len(ids)-1][:], text(id))
	}
	return ids
}
