package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/audit"
	"github.com/gobellhop/bellhop/internal/bulk"
	"github.com/gobellhop/bellhop/internal/filterurl"
	"github.com/gobellhop/bellhop/internal/jsonview"
	"github.com/gobellhop/bellhop/internal/redact"
)

// metaCopyOf is the key of the metadata in which a copy names the job that it was made of.
const metaCopyOf = "copy_of"

// notCopied are the keys of metadata that belong to one job and not to its copy.
var notCopied = []string{"traceparent", "tracestate", metaCopyOf}

// editData is the form in which a job is edited before it runs again as a new one.
type editData struct {
	Job      *bellhop.Snapshot
	Args     string // indented
	Hides    bool
	Queue    string
	Priority string
	Attempts string
	RunAt    string
	Tags     string
	Error    string
}

// editJob shows the form.
func (s *Server) editJob(v *view) (*page, error) {
	job, err := s.find(v)
	if err != nil {
		return nil, err
	}
	if err := v.need(access.Act, job.Queue); err != nil {
		return nil, err
	}
	d := newEdit(job)
	return &page{name: "edit", title: "Edit and run again", nav: "/jobs", data: d}, nil
}

func newEdit(job *bellhop.Snapshot) *editData {
	args := redact.JSON(job.Args)
	return &editData{
		Job: job, Args: jsonview.Source(args), Hides: !bytes.Equal(args, job.Args), Queue: shorten(job.Queue, 128), Priority: strconv.Itoa(job.Priority),
		Attempts: strconv.Itoa(job.Attempts), Tags: shorten(strings.Join(job.Tags, ", "), 8<<10),
	}
}

// runEdited enqueues what the form says as a new job that names the old one.
func (s *Server) runEdited(v *view) (*done, error) {
	job, err := s.find(v)
	if err != nil {
		return nil, err
	}
	e := audit.Entry{Action: "edit and run again", Queue: job.Queue, Target: job.ID.String()}
	if err := v.allowed(access.Act, job.Queue, e); err != nil {
		return nil, err
	}
	draft, queue, secrets, err := s.draftOf(v, job)
	if err != nil {
		return nil, v.wrongEdit(job, err)
	}
	if err := v.allowed(access.Act, queue, e); err != nil {
		return nil, err
	}
	if secrets && queue != job.Queue && v.viewer.On(job.Queue) < access.Admin {
		err := fmt.Errorf("the job's secrets are hidden from you, so they do not leave its queue %s: keep the queue, or give other values", job.Queue)
		e.Refused = err.Error()
		s.audit.Write(v.Context(), v.entry(e))
		return nil, v.wrongEdit(job, err)
	}
	receipts, err := bellhop.Enqueue(v.Context(), s.client, draft)
	if err != nil {
		return nil, v.wrongEdit(job, err)
	}
	r := receipts[0]
	d := &done{to: "/jobs/" + r.ID.String(), said: fmt.Sprintf("This is the new job, made of %s.", job.ID)}
	if r.Existing {
		d.said, d.bad = "Nothing was enqueued: this job is alive, and holds the unique key.", true
	}
	e.Queue, e.Target, e.Reason, e.Count = queue, r.ID.String(), "made of "+job.ID.String(), 1
	s.audit.Write(v.Context(), v.entry(e))
	s.live.forget()
	return d, nil
}

// draftOf reads the form. secrets says that the draft has some of the job's that the form did not show: whoever may see those of another
// queue could look at them there.
func (s *Server) draftOf(v *view, job *bellhop.Snapshot) (draft bellhop.Draft, queue string, secrets bool, err error) {
	form := v.PostForm
	args, err := redact.Restore([]byte(form.Get("args")), job.Args)
	if err != nil {
		return draft, "", false, err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, args); err != nil {
		return draft, "", false, fmt.Errorf("the arguments are no JSON: %w", err)
	}
	queue = strings.TrimSpace(form.Get("queue"))
	opts := []bellhop.Option{bellhop.Queue(queue)}
	priority, err := strconv.Atoi(strings.TrimSpace(form.Get("priority")))
	if err != nil {
		return draft, "", false, fmt.Errorf("the priority %.40q is no whole number from %d to %d", form.Get("priority"), bellhop.MinPriority, bellhop.MaxPriority)
	}
	attempts, err := strconv.Atoi(strings.TrimSpace(form.Get("attempts")))
	if err != nil {
		return draft, "", false, fmt.Errorf("the attempts %.40q are no whole number from 1 on", form.Get("attempts"))
	}
	opts = append(opts, bellhop.Priority(priority), bellhop.Attempts(attempts))
	if text := strings.TrimSpace(form.Get("run_at")); text != "" {
		at, err := filterurl.ParseTime(text, v.now())
		if err != nil {
			return draft, "", false, err
		}
		opts = append(opts, bellhop.At(at))
	}
	if tags := strings.FieldsFunc(form.Get("tags"), func(r rune) bool { return r == ',' || r == ' ' }); len(tags) > 0 {
		opts = append(opts, bellhop.Tags(tags...))
	}
	secrets = string(args) != form.Get("args") || !maps.Equal(redact.Meta(job.Meta), job.Meta)
	return bellhop.RawJob(job.Kind, compact.Bytes(), append(opts, keptOptions(job)...)...), queue, secrets, nil
}

// keptOptions are what a copy has of the job that it was made of.
func keptOptions(job *bellhop.Snapshot) []bellhop.Option {
	opts := []bellhop.Option{bellhop.Meta(metaCopyOf, job.ID.String())}
	for key, value := range job.Meta {
		copied := true
		for _, not := range notCopied {
			copied = copied && key != not
		}
		if copied {
			opts = append(opts, bellhop.Meta(key, value))
		}
	}
	if job.Timeout > 0 {
		opts = append(opts, bellhop.Timeout(job.Timeout))
	}
	if job.Retention != 0 {
		opts = append(opts, bellhop.Retention(job.Retention))
	}
	if job.UniqueKey != "" {
		opts = append(opts, bellhop.UniqueKey(job.UniqueKey))
	}
	return opts
}

// wrongEdit shows the form again, as it was filled in, with what is wrong.
func (v *view) wrongEdit(job *bellhop.Snapshot, err error) error {
	d := newEdit(job)
	d.Args, d.Queue, d.Priority = v.PostForm.Get("args"), v.PostForm.Get("queue"), v.PostForm.Get("priority")
	d.Attempts, d.RunAt, d.Tags = v.PostForm.Get("attempts"), v.PostForm.Get("run_at"), v.PostForm.Get("tags")
	d.Error = strings.TrimPrefix(err.Error(), "bellhop: ")
	return &shownAgain{&page{name: "edit", title: "Edit and run again", nav: "/jobs", data: d, status: http.StatusUnprocessableEntity}}
}

// shownAgain is an error whose page is the form that it came from.
type shownAgain struct{ page *page }

// Error says that the page says more.
func (e *shownAgain) Error() string { return "the form has a mistake" }

// unmarshalStrict reads JSON that the library has written.
func unmarshalStrict(raw []byte, to any) error { return json.Unmarshal(raw, to) }

func pastOf(a bellhop.Action) string { return bulk.Past(a) }
