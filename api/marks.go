package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/audit"
	"github.com/gobellhop/bellhop/internal/rollup"
)

// markRequest says that something happens now, for charts.
type markRequest struct{ text string }

// markFields are the fields of its body.
var markFields = map[string]field[markRequest]{
	"text": func(in *markRequest, v json.RawMessage) (err error) { in.text, err = reasonValue(v); return err },
}

func (in *markRequest) read(r *request) error {
	if _, err := r.parameters(); err != nil {
		return err
	}
	return readObject(r.body, in, markFields)
}

// markReply is the mark as it was set.
type markReply struct{ rollup.Mark }

func (markReply) status() int { return http.StatusCreated }

// setMark is POST /v1/marks. Charts of all queues show a mark.
func (s *Server) setMark(ctx context.Context, in *markRequest) (markReply, error) {
	v := access.From(ctx)
	if err := v.AllowAll(access.Act); err != nil {
		return markReply{}, err
	}
	by := ""
	if v != nil {
		by = v.Name
	}
	mark, err := rollup.AddMark(ctx, s.client.Store(), in.text, by)
	if err != nil {
		return markReply{}, err
	}
	s.audited(ctx, audit.Entry{Action: "mark", Target: mark.Text})
	return markReply{mark}, nil
}
