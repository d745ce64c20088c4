package web

import (
	"errors"
	"net/http"

	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/audit"
)

// auditRows is how many entries a page of the audit lists.
const auditRows = 100

// entry fills in who did something, and from where.
func (v *view) entry(e audit.Entry) audit.Entry {
	e.Who, e.Remote, e.Via = v.viewer.Name, v.viewer.Remote, audit.ViaWeb
	return e
}

// auditStranger writes to the audit that somebody was not let in who wanted to change something, or showed a wrong password or token.
// What is written as the action is not his to choose, so that he cannot make many sorts of entries.
func (s *Server) auditStranger(r *http.Request, err error) {
	e := audit.Entry{Via: audit.ViaWeb, Target: shorten(r.URL.Path, 200), Refused: err.Error()}
	var refusal *access.Refusal
	if errors.As(err, &refusal) {
		e.Who = refusal.Who
	}
	switch {
	case refusal != nil && (refusal.Cause == access.Stranger || refusal.Cause == access.TooManyLogins) && r.Header.Get("Authorization") != "":
		e.Action = "login"
	case r.Method == http.MethodPost:
		e.Action = "POST"
	default:
		return
	}
	if client := s.door.Client(r); client.IsValid() {
		e.Remote = client.String()
	}
	s.audit.Write(r.Context(), e)
}

// allowed is need for actions: a refusal is written to the audit.
func (v *view) allowed(role access.Role, queue string, e audit.Entry) error {
	if err := v.need(role, queue); err != nil {
		return v.refused(e, err)
	}
	return nil
}

// refused writes to the audit that an action was refused, and returns why.
func (v *view) refused(e audit.Entry, err error) error {
	e.Refused = err.Error()
	v.s.audit.Write(v.Context(), v.entry(e))
	return err
}

// acted writes an action to the audit, if it was done.
func (v *view) acted(e audit.Entry, err error) error {
	if err == nil {
		v.s.audit.Write(v.Context(), v.entry(e))
	}
	return err
}

// auditData is what the page of the audit shows.
type auditData struct {
	audit.Page
	Query audit.Query
	Pager pager
}

// auditPage lists who did what. It names queues and people, so it is for those who may do all.
func (s *Server) auditPage(v *view) (*page, error) {
	if err := v.need(access.Admin, ""); err != nil {
		var refusal *access.Refusal
		if errors.As(err, &refusal) && refusal.Cause == access.ReadOnly {
			return nil, &problem{
				status: http.StatusForbidden, title: "The audit is not shown here", detail: "This dashboard is read-only, and the audit takes the role admin.",
				advice: "bellhop audit lists it.",
			}
		}
		return nil, err
	}
	q := audit.Query{
		Who: v.param("who"), Action: v.param("action"), Queue: v.param("queue"), Target: v.param("target"), Via: v.param("via"),
		Refused: v.param("refused") != "", Limit: auditRows, After: v.param("after"),
	}
	list, err := audit.List(v.Context(), s.client.Store(), q)
	if err != nil {
		return nil, err
	}
	data := auditData{Page: *list, Query: q}
	if q.After != "" {
		data.Pager.First = v.with()
	}
	if list.Next != "" {
		data.Pager.Next = v.with("after", list.Next)
	}
	data.Pager.Text = plural(len(list.Entries), "line")
	return &page{name: "audit", title: "Audit", nav: "/audit", data: data, json: list}, nil
}
