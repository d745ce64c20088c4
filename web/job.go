package web

import (
	"bytes"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/api"
	"github.com/gobellhop/bellhop/internal/audit"
	"github.com/gobellhop/bellhop/internal/draw"
	"github.com/gobellhop/bellhop/internal/jsonview"
	"github.com/gobellhop/bellhop/internal/redact"
)

const maxShownText = 16 << 10 // bytes of an error, a stack or a value of the metadata on a page

// jobData is what the page of a job shows.
type jobData struct {
	*bellhop.Snapshot // without its secrets
	Way               template.HTML
	Hint              string // why it waits, if that is unusual
	Process           string // the name of the one that runs it
	Args, Result      jsonview.View
	ArgsSize          int
	ResultSize        int
	Progress          *progressData
	Meta              []metaRow
	Attempts          []attemptRow // newest first
	Runs              *runTimes    // nil if there is nothing to compare with
	Actions           []jobAction
	MayEdit           bool
	Reveal            string // the address of the page with its secrets; empty if there are none, or they are not for the viewer
	Revealed          bool
	Hides             bool
	TraceURL, LogsURL string
	CopyOf            bellhop.ID // the job that this one is an edited copy of
	Keep              string
	Now               time.Time
}

// progressData is how far a running job has come.
type progressData struct {
	Bar     template.HTML
	Percent int
	Text    string
	Note    template.HTML
}

// metaRow is one value of the metadata.
type metaRow struct{ Key, Value template.HTML }

// attemptRow is one attempt as the page shows it.
type attemptRow struct {
	bellhop.Attempt
	Name         string // of the process, if it is alive
	Message      template.HTML
	Stack        template.HTML
	Waited, Took string
	Class        string // of the badge
	Fingerprint  string
	Trace        string // its id; empty if it is not known
	TraceURL     string
	Lines        []logLine // of its log
}

// jobAction is something that can be done to the job now.
type jobAction struct {
	Action   bellhop.Action
	Word     string
	Icon     string
	Key      string
	Question string
	Bad      bool
}

// find returns the job that the address names, if it is there and the viewer may see it.
func (s *Server) find(v *view) (*bellhop.Snapshot, error) {
	id, err := bellhop.ParseID(v.PathValue("id"))
	if err != nil {
		return nil, notFound("%v", err)
	}
	job, err := s.client.Get(v.Context(), id)
	if err != nil {
		return nil, err
	}
	if !v.viewer.Sees(job.Queue) {
		return nil, bellhop.ErrNotFound
	}
	return job, nil
}

// job shows one job.
func (s *Server) job(v *view) (*page, error) {
	job, err := s.find(v)
	if err != nil {
		return nil, err
	}
	shown, revealed, err := s.hide(v, job)
	if err != nil {
		return nil, err
	}
	d := &jobData{
		Snapshot: shown, Now: v.now(), Way: draw.Way(job, v.now()), Keep: keepText(job),
		Args: jsonview.Render(shown.Args), ArgsSize: len(job.Args), Result: jsonview.Render(shown.Place.Result), ResultSize: len(job.Place.Result),
		MayEdit: v.viewer.On(job.Queue) >= access.Act, Revealed: revealed,
	}
	d.Hides = !revealed && hides(job, shown)
	if d.Hides && v.viewer.On(job.Queue) >= access.Admin {
		d.Reveal = s.url("/jobs/%s", job.ID) + "?reveal=1"
	}
	d.Actions = v.actionsOn(job)
	d.links(s, job)
	d.progress()
	d.metadata()
	names := map[bellhop.ID]string{}
	if shot := v.snapshot(); shot != nil {
		for _, p := range shot.Processes {
			names[p.ID] = p.Name
		}
		d.Hint = api.NewWorkforce(shot.Processes, shot.Stats).Hint(job.Place.State, job.Kind, job.Queue)
	}
	d.Process = names[job.Place.Process]
	d.attempts(s, names, job)
	if !v.wantsJSON() {
		d.Runs = s.runTimes(v.Context(), job)
	}
	return &page{name: "job", title: "Job " + shorten(job.Kind, 80), nav: "/jobs", data: d, json: api.NewJob(shown), live: !revealed}, nil
}

// hide takes the secrets out of a job, unless the viewer may see them and has asked for that, which is written to the audit.
func (s *Server) hide(v *view, job *bellhop.Snapshot) (shown *bellhop.Snapshot, revealed bool, err error) {
	if v.param("reveal") == "" {
		return redact.Snapshot(job), false, nil
	}
	e := audit.Entry{Action: "reveal", Queue: job.Queue, Target: job.ID.String()}
	return job, true, v.acted(e, v.allowed(access.Admin, job.Queue, e))
}

// hides reports whether something was taken out of a job.
func hides(job, shown *bellhop.Snapshot) bool {
	if string(job.Args) != string(shown.Args) || string(job.Place.Result) != string(shown.Place.Result) || job.Place.Reason != shown.Place.Reason ||
		string(job.Place.Progress) != string(shown.Place.Progress) || !maps.Equal(job.Meta, shown.Meta) {
		return true
	}
	return !slices.EqualFunc(job.History, shown.History, func(a, b bellhop.Attempt) bool {
		return (a.Failure == b.Failure || a.Failure != nil && b.Failure != nil && *a.Failure == *b.Failure) && bytes.Equal(a.Log, b.Log)
	})
}

// traceForm is a W3C trace parent.
var traceForm = regexp.MustCompile(`^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$`)

func (d *jobData) links(s *Server, job *bellhop.Snapshot) {
	if m := traceForm.FindStringSubmatch(job.Meta["traceparent"]); m != nil && s.opts.Links.Trace != "" {
		d.TraceURL = strings.ReplaceAll(s.opts.Links.Trace, "{trace}", m[1])
	}
	if s.opts.Links.Logs != "" {
		d.LogsURL = strings.ReplaceAll(s.opts.Links.Logs, "{job}", job.ID.String())
	}
	if id, err := bellhop.ParseID(job.Meta[metaCopyOf]); err == nil {
		d.CopyOf = id
	}
}

func (d *jobData) progress() {
	p := &d.Place
	if len(p.Progress) == 0 || p.State != bellhop.StateRunning {
		return
	}
	var told bellhop.Progress
	if unmarshalStrict(p.Progress, &told) != nil {
		return
	}
	out := &progressData{Percent: -1, Text: countText(told.Done)}
	if told.Total > 0 {
		out.Percent = int(min(max(float64(told.Done)/float64(told.Total)*100, 0), 100))
		out.Text += " of " + countText(told.Total)
	}
	out.Bar = draw.Progress("Progress", out.Percent)
	out.Note, _ = jsonview.Text(told.Note, 512)
	d.Progress = out
}

func countText(n int64) string {
	text, _ := number(n) // an int64 is a number
	return text
}

func (d *jobData) metadata() {
	for _, key := range slices.Sorted(maps.Keys(d.Snapshot.Meta)) {
		k, _ := jsonview.Text(key, 256)
		value, _ := jsonview.Text(d.Snapshot.Meta[key], maxShownText)
		d.Meta = append(d.Meta, metaRow{k, value})
	}
}

// attempts makes the rows. The group of a failure is that of its message as it is, since so workers and stores count it.
func (d *jobData) attempts(s *Server, names map[bellhop.ID]string, whole *bellhop.Snapshot) {
	for i, a := range slices.Backward(d.History) {
		row := attemptRow{Attempt: a, Name: names[a.Process], Class: outcomeClass(a.Outcome)}
		if !a.ClaimedAt.IsZero() && !a.Due.IsZero() {
			row.Waited = took(max(a.ClaimedAt.Sub(a.Due), 0))
		}
		if !a.Started.IsZero() {
			row.Took = took(max(a.Ended.Sub(a.Started), 0))
		}
		if f := a.Failure; f != nil {
			row.Message, _ = jsonview.Text(f.Message, maxShownText)
			row.Stack, _ = jsonview.Text(f.Stack, maxShownText)
			row.Fingerprint = bellhop.Fingerprint(d.Kind, whole.History[i].Failure)
		}
		row.log(s)
		d.Attempts = append(d.Attempts, row)
	}
}

// outcomeClass is the look of an outcome's badge.
func outcomeClass(k bellhop.OutcomeKind) string {
	switch k {
	case bellhop.OutcomeSucceeded:
		return "chip-good"
	case bellhop.OutcomeDead, bellhop.OutcomeSwept:
		return "chip-bad"
	case bellhop.OutcomeRetry:
		return "chip-warn"
	}
	return ""
}

// keepText says how long a job is kept.
func keepText(j *bellhop.Snapshot) string {
	switch {
	case j.Retention == bellhop.Forever:
		return "until a person deletes it"
	case j.Retention > 0:
		return span(j.Retention) + " after its end"
	}
	return "24 h if it succeeds, 7 d if it is discarded or cancelled"
}

// actionsOn lists what the viewer may do to a job in its state.
func (v *view) actionsOn(job *bellhop.Snapshot) []jobAction {
	all := []jobAction{
		{bellhop.ActRetry, "Retry", "retry", "r", "", false},
		{bellhop.ActRunNow, "Run now", "play", "r", "", false},
		{bellhop.ActCancel, "Cancel", "stop", "", "Cancel this job?", false},
		{bellhop.ActDiscard, "Discard", "discarded", "", "Discard this job as no longer needed?", false},
		{bellhop.ActDelete, "Delete", "trash", "", "Delete this job and its history? There is no way back.", true},
	}
	switch job.Place.State {
	case bellhop.StateSucceeded:
		all[0].Question = "This job has succeeded. Run it again?"
	case bellhop.StateRunning:
		all[2].Question = "Ask the running job to stop?"
	}
	return slices.DeleteFunc(all, func(a jobAction) bool {
		return !a.Action.From().Has(job.Place.State) || v.viewer.On(job.Queue) < access.RoleFor(a.Action) || a.Action == bellhop.ActCancel && job.Place.CancelRequested
	})
}

// actOnJob does one action to one job.
func (s *Server) actOnJob(v *view) (*done, error) {
	action, err := bellhop.ParseAction(v.PostForm.Get("action"))
	if err != nil {
		return nil, badInput("%v", err)
	}
	job, err := s.find(v)
	if err != nil {
		return nil, err
	}
	reason := strings.TrimSpace(v.PostForm.Get("reason"))
	e := v.entry(audit.Entry{Action: action.String(), Queue: job.Queue, Target: job.ID.String(), Reason: reason, Count: 1})
	if err := v.allowed(access.RoleFor(action), job.Queue, e); err != nil {
		return nil, err
	}
	reply, err := s.client.Act(v.Context(), action, byWhom(action, v.viewer.Name, reason), job.ID)
	if err != nil {
		return nil, err
	}
	d := &done{to: v.back("/jobs/" + job.ID.String())}
	switch {
	case len(reply.Signalled) > 0:
		d.said = "The job runs: it is asked to stop."
	case len(reply.Changed) > 0 && action == bellhop.ActDelete:
		d.to, d.said = "/jobs", "Job "+job.ID.String()+" is deleted."
	case len(reply.Changed) > 0:
		d.said = "The job is " + action.To().String() + "."
	default:
		d.said, d.bad = skipText(action, reply.Skipped), true
		e.Refused, e.Count = d.said, 0
	}
	s.audit.Write(v.Context(), e)
	s.live.forget()
	return d, nil
}

// byWhom is the reason that is kept with a job.
func byWhom(a bellhop.Action, who, reason string) string {
	text := pastOf(a)
	if who != "" {
		text += " by " + who
	}
	if reason != "" {
		text += ": " + reason
	}
	return text
}

func skipText(action bellhop.Action, skipped []bellhop.Skip) string {
	if len(skipped) == 0 || skipped[0].State == 0 {
		return "The job is gone: it may have been deleted meanwhile."
	}
	skip := skipped[0]
	if !skip.Holder.IsZero() {
		return fmt.Sprintf("The job %s holds its unique key: wait until that has ended, or cancel it.", skip.Holder)
	}
	if skip.Locked {
		return "An open transaction holds the job: try again when it has ended."
	}
	return fmt.Sprintf("The job is %s meanwhile; %s is for jobs that are %s.", skip.State, action, strings.ReplaceAll(action.From().String(), "|", ", "))
}

// jobDownload answers with the arguments or the result of a job as a file, byte for byte but for its secrets.
func (s *Server) jobDownload(v *view) error {
	job, err := s.find(v)
	if err != nil {
		return err
	}
	shown, _, err := s.hide(v, job)
	if err != nil {
		return err
	}
	var body []byte
	switch what := v.PathValue("what"); what {
	case "args":
		body = shown.Args
	case "result":
		body = shown.Place.Result
	default:
		return notFound("There is nothing here: want args or result.")
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%s.json"`, job.ID, v.PathValue("what")))
	v.w.WriteHeader(http.StatusOK)
	_, err = v.w.Write(body)
	return err
}
