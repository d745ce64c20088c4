package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
)

// idempotencySpace keeps ids made from Idempotency-Key headers apart from all others.
const idempotencySpace = "bellhop Idempotency-Key"

// enqueueRequest is POST /v1/jobs.
type enqueueRequest struct {
	jobs []newJob
	many bool   // an array or lines, even if of one
	key  string // of the header Idempotency-Key
}

// newJob is a job as callers describe it.
type newJob struct {
	kind  string
	args  json.RawMessage
	opts  []bellhop.Option
	id    bellhop.ID
	hasID bool
	runAt bool
	delay bool
}

// option adds an option of the library.
func (j *newJob) option(o bellhop.Option) { j.opts = append(j.opts, o) }

// jobFields are the fields of a job in a request.
var jobFields = map[string]field[newJob]{
	"kind": func(j *newJob, v json.RawMessage) (err error) { j.kind, err = textValue(v); return err },
	"args": func(j *newJob, v json.RawMessage) error { j.args = v; return nil },
	"queue": func(j *newJob, v json.RawMessage) error {
		return with(j, v, textValue, bellhop.Queue)
	},
	"priority": func(j *newJob, v json.RawMessage) error { return with(j, v, wholeValue, bellhop.Priority) },
	"run_at": func(j *newJob, v json.RawMessage) error {
		j.runAt = true
		return with(j, v, timeValue, bellhop.At)
	},
	"delay": func(j *newJob, v json.RawMessage) error {
		j.delay = true
		return with(j, v, durationValue, bellhop.In)
	},
	"attempts":  func(j *newJob, v json.RawMessage) error { return with(j, v, wholeValue, bellhop.Attempts) },
	"timeout":   func(j *newJob, v json.RawMessage) error { return with(j, v, durationValue, bellhop.Timeout) },
	"retention": func(j *newJob, v json.RawMessage) error { return with(j, v, retentionValue, bellhop.Retention) },
	"id": func(j *newJob, v json.RawMessage) (err error) {
		j.hasID = true
		j.id, err = idValue(v)
		return err
	},
	"unique": readUnique,
	"tags": func(j *newJob, v json.RawMessage) error {
		tags, err := listValue(v, bellhop.MaxTags, textValue)
		if err == nil {
			j.option(bellhop.Tags(tags...))
		}
		return err
	},
	"meta": func(j *newJob, v json.RawMessage) error {
		meta, err := textsValue(v)
		for _, key := range slices.Sorted(maps.Keys(meta)) {
			j.option(bellhop.Meta(key, meta[key]))
		}
		return err
	},
}

// with reads a value and adds the option that it becomes.
func with[V any](j *newJob, raw json.RawMessage, read func(json.RawMessage) (V, error), option func(V) bellhop.Option) error {
	v, err := read(raw)
	if err == nil {
		j.option(option(v))
	}
	return err
}

func retentionValue(v json.RawMessage) (time.Duration, error) {
	if string(v) == `"forever"` {
		return bellhop.Forever, nil
	}
	d, err := durationValue(v)
	if err == nil && d < 0 {
		err = errors.New(`want a duration of at least 1s, or "forever"`)
	}
	return d, err
}

// readUnique reads true (one live job for these arguments), a string (one for this key) or false.
func readUnique(j *newJob, v json.RawMessage) error {
	if typeOf(v) == "a string" {
		return with(j, v, textValue, bellhop.UniqueKey)
	}
	unique, err := flagValue(v)
	if err != nil {
		return fmt.Errorf("want true, false or a string, got %s", typeOf(v))
	}
	if unique {
		j.option(bellhop.Unique())
	}
	return nil
}

func (in *enqueueRequest) read(r *request) error {
	if _, err := r.parameters(); err != nil {
		return err
	}
	if err := in.readKey(r.Header); err != nil {
		return err
	}
	var err error
	switch {
	case r.media == mediaLines:
		in.many = true
		err = in.readLines(r.body)
	case typeOf(r.body) == "an array":
		in.many = true
		if err = checkSyntax(r.body); err == nil {
			err = elements(r.body, func(value json.RawMessage) error { return in.add(value, 0) })
		}
	default:
		if err = checkSyntax(r.body); err == nil {
			err = in.add(r.body, 0)
		}
	}
	if err == nil && len(in.jobs) == 0 {
		return invalid.because("there are no jobs in the body")
	}
	return err
}

func (in *enqueueRequest) readKey(h http.Header) error {
	keys := h.Values("Idempotency-Key")
	if len(keys) == 0 {
		return nil
	}
	in.key = keys[0]
	bad := len(keys) > 1 || in.key == "" || len(in.key) > 255
	for _, c := range []byte(in.key) {
		bad = bad || c < ' ' || c > '~'
	}
	if bad {
		return badParameter.because("the header Idempotency-Key is not usable: want one, of 1 to 255 visible ASCII characters").in("Idempotency-Key")
	}
	return nil
}

// readLines reads one job a line; empty lines are passed over.
func (in *enqueueRequest) readLines(body []byte) error {
	number := 0
	for line := range bytes.Lines(body) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		err := checkSyntax(line)
		if p, ok := err.(*Problem); ok {
			return p.at(len(in.jobs), fmt.Sprintf("job %d (line %d)", len(in.jobs), number))
		}
		if err := in.add(line, number); err != nil {
			return err
		}
	}
	return nil
}

// add reads one job. line is its line in the body, 0 if it does not stand in lines.
func (in *enqueueRequest) add(object []byte, line int) error {
	index := len(in.jobs)
	if index == bellhop.MaxBatch {
		return invalid.because("more than %d jobs in one call: split the call", bellhop.MaxBatch)
	}
	j := newJob{}
	err := checkStrings(object)
	if err == nil {
		err = readFields(object, &j, jobFields, "args")
	}
	if err == nil {
		err = in.complete(&j, index)
	}
	p, bad := err.(*Problem)
	if bad && in.many {
		where := fmt.Sprintf("job %d", index)
		if line > 0 {
			where = fmt.Sprintf("job %d (line %d)", index, line)
		}
		err = p.at(index, where)
	}
	in.jobs = append(in.jobs, j)
	return err
}

// complete looks at the fields of a job together.
func (in *enqueueRequest) complete(j *newJob, index int) error {
	switch {
	case j.kind == "":
		return invalid.because("kind: a job needs a kind").in("kind")
	case j.runAt && j.delay:
		return invalid.because("delay: give run_at or delay, not both").in("delay")
	case in.key != "" && j.hasID:
		return invalid.because("id: give an id or the header Idempotency-Key, not both").in("id")
	case in.key != "" && in.many:
		j.id, j.hasID = bellhop.IDFromKey(fmt.Sprintf("%s %d", idempotencySpace, index), in.key), true
	case in.key != "":
		j.id, j.hasID = bellhop.IDFromKey(idempotencySpace, in.key), true
	}
	if j.hasID {
		j.option(bellhop.WithID(j.id))
	}
	if j.args == nil {
		j.args = json.RawMessage("{}")
	}
	return nil
}

// enqueueReply answers with a receipt for each job.
type enqueueReply struct {
	receipts []bellhop.Receipt
	many     bool
	prefix   string
}

// status is 201 if a job came into being, and 200 if all were there.
func (out *enqueueReply) status() int {
	for _, r := range out.receipts {
		if !r.Existing {
			return http.StatusCreated
		}
	}
	return http.StatusOK
}

func (out *enqueueReply) setHeader(h http.Header) {
	if !out.many {
		h.Set("Location", out.prefix+"/v1/jobs/"+out.receipts[0].ID.String())
	}
}

// MarshalJSON writes an array for many, an object for one.
func (out *enqueueReply) MarshalJSON() ([]byte, error) {
	if out.many {
		return json.Marshal(out.receipts)
	}
	return json.Marshal(out.receipts[0])
}

// enqueue hands all jobs over in one call: all are taken, or none.
func (s *Server) enqueue(ctx context.Context, in *enqueueRequest) (*enqueueReply, error) {
	drafts := make([]bellhop.Draft, len(in.jobs))
	for i, j := range in.jobs {
		if d := s.definitions[j.kind]; d != nil {
			drafts[i] = d.Raw(j.args, j.opts...)
		} else {
			drafts[i] = bellhop.RawJob(j.kind, j.args, j.opts...)
		}
	}
	if v := access.From(ctx); v.All() < access.Act {
		for i, d := range drafts {
			queue, err := s.client.QueueOf(d)
			if err == nil {
				err = v.Allow(access.Act, queue)
			}
			if err != nil {
				return nil, in.explain(at(err, i))
			}
		}
	}
	receipts, err := bellhop.Enqueue(ctx, s.client, drafts...)
	if err != nil {
		return nil, in.explain(err)
	}
	return &enqueueReply{receipts: receipts, many: in.many, prefix: s.opts.Prefix}, nil
}

// at makes the problem of an error of one job of several.
func at(err error, index int) error {
	p := problemOf(err, false)
	p.Index = &index
	return p
}

// explain adds to a problem which job it is about.
func (in *enqueueRequest) explain(err error) error {
	p := problemOf(err, false)
	if p.Status >= 500 {
		return err // not the caller's fault, so it is logged
	}
	if p.Index == nil && len(in.jobs) == 1 {
		p.Index = new(int)
	}
	if p.Index != nil && p.Type == problemPrefix+idTaken.name && *p.Index < len(in.jobs) {
		p.IDs = []bellhop.ID{in.jobs[*p.Index].id}
	}
	if !in.many {
		p.Index = nil
	}
	return p
}
