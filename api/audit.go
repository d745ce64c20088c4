package api

import (
	"context"
	"net/http"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/audit"
)

// actionKey is the key, in a request's context, of what it would do, if it changes something.
type actionKey struct{}

// audited writes to the audit what the viewer has done.
func (s *Server) audited(ctx context.Context, e audit.Entry) {
	e.Via = audit.ViaAPI
	if v := access.From(ctx); v != nil {
		e.Who, e.Remote = v.Name, v.Remote
	}
	s.audit.Write(ctx, e)
}

// auditRefusal writes that a request was refused which would have changed something, or that showed a wrong password or token.
func (s *Server) auditRefusal(r *http.Request, refusal *access.Refusal) {
	action, _ := r.Context().Value(actionKey{}).(string)
	if wrong := refusal.Cause == access.Stranger || refusal.Cause == access.TooManyLogins; wrong && r.Header.Get("Authorization") != "" {
		action = "login"
	}
	if action == "" {
		return
	}
	e := audit.Entry{Action: action, Target: r.URL.Path, Refused: refusal.Text}
	if client := s.door.Client(r); client.IsValid() {
		e.Remote = client.String()
	}
	e.Who, e.Via = refusal.Who, audit.ViaAPI
	if v := access.From(r.Context()); v != nil {
		e.Who = v.Name
	}
	s.audit.Write(r.Context(), e)
}

// auditRequest is GET /v1/audit.
type auditRequest struct{ query audit.Query }

// auditParameters are the parameters of the audit.
var auditParameters = []string{"who", "via", "action", "queue", "target", "refused", "since", "until", "limit", "after"}

func (in *auditRequest) read(r *request) error {
	q, err := r.parameters(auditParameters...)
	if err != nil {
		return err
	}
	in.query = audit.Query{
		Who: q.text("who", maxText), Via: q.text("via", maxText), Action: q.text("action", maxText), Queue: q.text("queue", maxText),
		Target: q.text("target", maxText), Refused: q.flag("refused"), Since: q.time("since"), Until: q.time("until"),
		Limit: q.number("limit", defaultPage, 1, maxPage), After: q.text("after", maxCursor),
	}
	return q.err
}

// listAudit is GET /v1/audit.
func (s *Server) listAudit(ctx context.Context, in *auditRequest) (*audit.Page, error) {
	if err := access.From(ctx).AllowAll(access.Admin); err != nil {
		return nil, err
	}
	return audit.List(ctx, s.client.Store(), in.query)
}

// reveals writes to the audit that secrets are shown to the viewer, or why not, and returns that.
func (s *Server) reveals(ctx context.Context, e audit.Entry, refusal error) error {
	e.Action = "reveal"
	if refusal != nil {
		e.Refused = refusal.Error()
	}
	s.audited(ctx, e)
	return refusal
}

// queuesOf returns the queues of jobs that a viewer sees; the ids of others, and of jobs that do not exist, are not in it.
func (s *Server) queuesOf(ctx context.Context, ids []bellhop.ID) (map[bellhop.ID]string, error) {
	v, queues := access.From(ctx), map[bellhop.ID]string{}
	for len(ids) > 0 {
		bite := ids[:min(len(ids), maxPage)]
		ids = ids[len(bite):]
		page, err := s.client.List(ctx, bellhop.Query{Filter: bellhop.Filter{IDs: bite}, Limit: len(bite), WithoutArgs: true})
		if err != nil {
			return nil, err
		}
		for i := range page.Jobs {
			if j := &page.Jobs[i]; v.Sees(j.Queue) {
				queues[j.ID] = j.Queue
			}
		}
	}
	return queues, nil
}

// allowsJobs returns nil if the viewer has the role on the queues of all these jobs that he sees, and the ids of those; the others
// are for him as if they did not exist.
func (s *Server) allowsJobs(ctx context.Context, need access.Role, ids []bellhop.ID) (seen []bellhop.ID, hidden []bellhop.ID, err error) {
	v := access.From(ctx)
	if v.All() >= need {
		return ids, nil, nil
	}
	queues, err := s.queuesOf(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	for _, id := range ids {
		queue, sees := queues[id]
		if !sees {
			hidden = append(hidden, id)
			continue
		}
		if err := v.Allow(need, queue); err != nil {
			return nil, nil, err
		}
		seen = append(seen, id)
	}
	return seen, hidden, nil
}
