package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/audit"
	"github.com/gobellhop/bellhop/internal/reach"
)

const (
	maxReason     = 400              // bytes of a reason
	maxActIDs     = bellhop.MaxBatch // jobs named in one call
	actAllTimeout = 20 * time.Second // after which an action by filter stops and says so
)

// actOneRequest is POST /v1/jobs/{id}/{action}.
type actOneRequest struct {
	id     bellhop.ID
	action bellhop.Action
	reason string
}

// reasonFields are the fields of the body of an action on one job.
var reasonFields = map[string]field[actOneRequest]{
	"reason": func(in *actOneRequest, v json.RawMessage) (err error) { in.reason, err = reasonValue(v); return err },
}

func reasonValue(v json.RawMessage) (string, error) {
	reason, err := textValue(v)
	if err == nil {
		err = checkText(reason, maxReason)
	}
	return reason, err
}

func (in *actOneRequest) read(r *request) (err error) {
	if _, err := r.parameters(); err != nil {
		return err
	}
	if in.id, err = r.id(); err != nil {
		return err
	}
	in.action, err = bellhop.ParseAction(r.PathValue("action"))
	if err != nil || in.action == bellhop.ActDelete {
		return unknownRoute.because("%.40q is not an action here: use retry, run, cancel or discard; to delete, send DELETE to the job", r.PathValue("action"))
	}
	if r.body == nil {
		return nil
	}
	return readObject(r.body, in, reasonFields)
}

// readObject reads a body that is one object.
func readObject[T any](body []byte, in *T, fields map[string]field[T]) error {
	if err := checkSyntax(body); err != nil {
		return err
	}
	if err := checkStrings(body); err != nil {
		return err
	}
	return readFields(body, in, fields)
}

// actOneReply answers with where the job is now.
type actOneReply struct {
	ID    bellhop.ID    `json:"id"`
	State bellhop.State `json:"state"`
	// Signalled says that the job runs, and has been asked to stop.
	Signalled bool `json:"signalled,omitempty"`
}

func (out *actOneReply) status() int {
	if out.Signalled {
		return http.StatusAccepted
	}
	return http.StatusOK
}

// actOnOne is POST /v1/jobs/{id}/{action}.
func (s *Server) actOnOne(ctx context.Context, in *actOneRequest) (*actOneReply, error) {
	done, err := s.act(ctx, in.action, in.reason, in.id)
	if err != nil {
		return nil, err
	}
	if len(done.Signalled) > 0 {
		return &actOneReply{ID: in.id, State: bellhop.StateRunning, Signalled: true}, nil
	}
	return &actOneReply{ID: in.id, State: in.action.To()}, nil
}

// act does an action to one job, if the viewer may, and has it audited.
func (s *Server) act(ctx context.Context, action bellhop.Action, reason string, id bellhop.ID) (*bellhop.ActReply, error) {
	_, hidden, err := s.allowsJobs(ctx, access.RoleFor(action), []bellhop.ID{id})
	if err != nil {
		return nil, err
	}
	if len(hidden) > 0 {
		return nil, bellhop.ErrNotFound
	}
	done, err := s.client.Act(ctx, action, reason, id)
	if err != nil {
		return nil, err
	}
	if len(done.Skipped) > 0 {
		return nil, skipped(action, done.Skipped[0])
	}
	s.audited(ctx, audit.Entry{Action: action.String(), Target: id.String(), Count: 1, Reason: reason})
	return done, nil
}

// skipped makes a problem of a job that was left as it is.
func skipped(action bellhop.Action, skip bellhop.Skip) error {
	switch {
	case skip.State == 0:
		return bellhop.ErrNotFound
	case !skip.Holder.IsZero():
		p := wrongState.because("its unique key is held by the job %s: wait until that has ended, or cancel it", skip.Holder)
		p.IDs = []bellhop.ID{skip.Holder}
		return p
	case skip.Locked:
		return wrongState.because("an open transaction holds the job: try again when it has ended")
	}
	return wrongState.because("the job is %s; %s is for jobs that are %s", skip.State, action, action.From())
}

// deleteJob is DELETE /v1/jobs/{id}.
func (s *Server) deleteJob(ctx context.Context, in *jobRequest) (noContent, error) {
	_, err := s.act(ctx, bellhop.ActDelete, "", in.id)
	return noContent{}, err
}

// actManyRequest is POST /v1/jobs/actions.
type actManyRequest struct {
	action   bellhop.Action
	ids      []bellhop.ID
	filter   bellhop.Filter
	filtered bool
	all      bool
	reason   string
}

// actFields are the fields of an action on many jobs.
var actFields = map[string]field[actManyRequest]{
	"action": func(in *actManyRequest, v json.RawMessage) error {
		name, err := textValue(v)
		if err == nil {
			in.action, err = bellhop.ParseAction(name)
		}
		return err
	},
	"ids": func(in *actManyRequest, v json.RawMessage) (err error) {
		in.ids, err = listValue(v, maxActIDs, idValue)
		if err == nil && len(in.ids) == 0 {
			err = errors.New("it names no job")
		}
		return err
	},
	"filter": func(in *actManyRequest, v json.RawMessage) error {
		in.filtered = true
		return readFields(v, &in.filter, filterFields)
	},
	"all":    func(in *actManyRequest, v json.RawMessage) (err error) { in.all, err = flagValue(v); return err },
	"reason": func(in *actManyRequest, v json.RawMessage) (err error) { in.reason, err = reasonValue(v); return err },
}

func (in *actManyRequest) read(r *request) error {
	if _, err := r.parameters(); err != nil {
		return err
	}
	if err := readObject(r.body, in, actFields); err != nil {
		return err
	}
	switch {
	case in.action == 0:
		return invalid.because("action: say which: retry, run, cancel, discard or delete").in("action")
	case in.ids != nil && (in.filtered || in.all):
		return invalid.because("ids: name the jobs by ids, or select them by filter, not both").in("ids")
	case in.ids == nil && !in.all && in.filter.IsZero():
		return invalid.because(`filter: nothing is selected: give ids or a filter; for all jobs say "all": true`).in("filter")
	}
	return nil
}

// actManyReply answers an actManyRequest. The lists are given if the jobs were named.
type actManyReply struct {
	Action string `json:"action"`
	// Count is how many jobs were changed, or, as they run, asked to stop.
	Count int `json:"count"`
	// Complete says that all selected jobs were visited. If not, the same call goes on.
	Complete  bool         `json:"complete"`
	Changed   []bellhop.ID `json:"changed,omitempty"`
	Signalled []bellhop.ID `json:"signalled,omitempty"`
	Skipped   []skip       `json:"skipped,omitempty"`
}

// skip is a named job that was left as it is.
type skip struct {
	ID bellhop.ID `json:"id"`
	// State is where it is; left out if there is no such job.
	State bellhop.State `json:"state,omitzero"`
	// Holder is the job that holds its unique key, if that is the reason.
	Holder bellhop.ID `json:"holder,omitzero"`
	// Locked says that an open transaction holds it.
	Locked bool `json:"locked,omitzero"`
}

// actOnMany is POST /v1/jobs/actions.
func (s *Server) actOnMany(ctx context.Context, in *actManyRequest) (*actManyReply, error) {
	if in.ids != nil {
		return s.actOnNamed(ctx, in)
	}
	if in.all && in.filter.States == 0 {
		in.filter.States = in.action.From()
	}
	filter, some, err := reach.Act(access.From(ctx), in.action, in.filter)
	if err != nil || !some {
		return &actManyReply{Action: in.action.String(), Complete: true}, err
	}
	limited, cancel := context.WithTimeout(ctx, actAllTimeout)
	defer cancel()
	n, err := s.client.ActAll(limited, in.action, in.reason, filter, nil)
	if n > 0 || err == nil {
		s.audited(ctx, audit.Entry{Action: in.action.String(), Filter: audit.FilterText(&filter), Count: n, Reason: in.reason})
	}
	if err != nil && (limited.Err() == nil || ctx.Err() != nil || n == 0) {
		return nil, err
	}
	return &actManyReply{Action: in.action.String(), Count: n, Complete: err == nil}, nil
}

func (s *Server) actOnNamed(ctx context.Context, in *actManyRequest) (*actManyReply, error) {
	seen, hidden, err := s.allowsJobs(ctx, access.RoleFor(in.action), in.ids)
	if err != nil {
		return nil, err
	}
	done, err := s.client.Act(ctx, in.action, in.reason, seen...)
	if n := len(done.Changed) + len(done.Signalled); n > 0 || err == nil {
		e := audit.Entry{Action: in.action.String(), Count: n, Reason: in.reason}
		if len(seen) == 1 {
			e.Target = seen[0].String()
		}
		s.audited(ctx, e)
	}
	if err != nil {
		return nil, err
	}
	out := &actManyReply{
		Action: in.action.String(), Count: len(done.Changed) + len(done.Signalled), Complete: true,
		Changed: done.Changed, Signalled: done.Signalled,
	}
	for _, k := range done.Skipped {
		out.Skipped = append(out.Skipped, skip(k))
	}
	for _, id := range hidden {
		out.Skipped = append(out.Skipped, skip{ID: id})
	}
	return out, nil
}
