package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/audit"
	"github.com/gobellhop/bellhop/internal/control"
)

// processRequest names a process by its path.
type processRequest struct{ id bellhop.ID }

func (in *processRequest) read(r *request) (err error) {
	if _, err := r.parameters(); err != nil {
		return err
	}
	if in.id, err = bellhop.ParseID(r.PathValue("process")); err != nil {
		return notFound.because("%v", err).in("process")
	}
	return nil
}

// drainReply says whether a process takes jobs.
type drainReply struct {
	Process bellhop.ID `json:"process"`
	Drained bool       `json:"drained"`
}

// drainProcess is POST /v1/processes/{process}/drain. The worker obeys within a few beats.
func (s *Server) drainProcess(ctx context.Context, in *processRequest) (*drainReply, error) {
	return s.orderProcess(ctx, in.id, true)
}

// undrainProcess is POST /v1/processes/{process}/undrain.
func (s *Server) undrainProcess(ctx context.Context, in *processRequest) (*drainReply, error) {
	return s.orderProcess(ctx, in.id, false)
}

func (s *Server) orderProcess(ctx context.Context, id bellhop.ID, drained bool) (*drainReply, error) {
	v := access.From(ctx)
	if err := v.AllowAll(access.Admin); err != nil {
		return nil, err
	}
	action, err := "undrain", error(nil)
	if drained {
		action, err = "drain", control.Drain(ctx, s.client.Store(), id, viewerName(v))
	} else {
		err = control.Undrain(ctx, s.client.Store(), id)
	}
	if errors.Is(err, bellhop.ErrNotFound) {
		return nil, notFound.because("there is no living process %s: GET /v1/processes lists those that live", id).in("process")
	}
	if err != nil {
		return nil, err
	}
	s.audited(ctx, audit.Entry{Action: action, Target: id.String()})
	return &drainReply{Process: id, Drained: drained}, nil
}

func viewerName(v *access.Viewer) string {
	if v == nil {
		return ""
	}
	return v.Name
}

// concurrencyRequest sets how many jobs of a queue run at once in each process.
type concurrencyRequest struct {
	queue queueRequest
	n     int
}

// concurrencyFields are the fields of its body.
var concurrencyFields = map[string]field[concurrencyRequest]{
	"concurrency": func(in *concurrencyRequest, v json.RawMessage) (err error) {
		if in.n, err = strconv.Atoi(string(v)); err != nil || in.n < 0 || in.n > 100_000 {
			err = fmt.Errorf("%.40s: want a whole number from 1 to 100000, or 0 for what each process has set", v)
		}
		return err
	},
}

func (in *concurrencyRequest) read(r *request) error {
	if err := in.queue.read(r); err != nil {
		return err
	}
	in.n = -1
	if err := readObject(r.body, in, concurrencyFields); err != nil {
		return err
	}
	if in.n < 0 {
		return invalid.because("concurrency is missing: give a number, or 0 for what each process has set").in("concurrency")
	}
	return nil
}

// concurrencyReply says what is in force; 0 is what each process has set.
type concurrencyReply struct {
	Queue       string `json:"queue"`
	Concurrency int    `json:"concurrency"`
}

// setConcurrency is POST /v1/queues/{queue}/concurrency.
func (s *Server) setConcurrency(ctx context.Context, in *concurrencyRequest) (*concurrencyReply, error) {
	v, queue := access.From(ctx), in.queue.queue
	if err := v.Allow(access.Act, queue); err != nil {
		return nil, err
	}
	if err := control.SetConcurrency(ctx, s.client.Store(), queue, in.n, viewerName(v)); err != nil {
		return nil, err
	}
	s.audited(ctx, audit.Entry{Action: "concurrency", Queue: queue, Reason: "to " + strconv.Itoa(in.n)})
	return &concurrencyReply{Queue: queue, Concurrency: in.n}, nil
}
