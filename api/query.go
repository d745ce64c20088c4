package api

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gobellhop/bellhop"
)

const (
	maxValues = 100 // values of one condition of a filter
	maxText   = 200 // bytes to look for in arguments and errors
	maxCursor = 512 // bytes of a page's mark
)

// filterParameters are the parameters that select jobs.
var filterParameters = []string{
	"state", "queue", "not_queue", "kind", "tag", "process", "enqueued_after", "enqueued_before", "finished_after", "finished_before",
	"text", "arg", "error", "fingerprint",
}

// parameters returns the request's parameters; any but those allowed are refused by name.
func (r *request) parameters(allowed ...string) (parameters, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return parameters{}, badParameter.because("the query cannot be read: %v", err)
	}
	for name := range values {
		if !slices.Contains(allowed, name) {
			return parameters{}, badParameter.because("the parameter %.64q is unknown here; %s", name, known(allowed)).in(name)
		}
	}
	return parameters{values: values}, nil
}

func known(allowed []string) string {
	if len(allowed) == 0 {
		return "there are none"
	}
	return "known are " + strings.Join(allowed, ", ")
}

// parameters reads parameters one by one and keeps the first error.
type parameters struct {
	values url.Values
	err    error
}

func (q *parameters) refuse(name, format string, args ...any) {
	if q.err == nil {
		q.err = badParameter.because("%s: %s", name, fmt.Sprintf(format, args...)).in(name)
	}
}

// one returns the value of a parameter that may be given once; empty if it is not given.
func (q *parameters) one(name string) string {
	given := q.values[name]
	if len(given) == 0 {
		return ""
	}
	if len(given) > 1 {
		q.refuse(name, "given %d times: want it once", len(given))
	}
	if given[0] == "" {
		q.refuse(name, "it is empty: leave it out or give a value")
	}
	return given[0]
}

// list returns the values of a parameter that may be given several times, or once with commas.
func (q *parameters) list(name string) []string {
	var list []string
	for _, given := range q.values[name] {
		list = append(list, strings.Split(given, ",")...)
	}
	if len(list) > maxValues {
		q.refuse(name, "%d values are more than the limit of %d", len(list), maxValues)
		return nil
	}
	return list
}

func (q *parameters) names(name string) []string {
	list := q.list(name)
	for _, v := range list {
		if err := bellhop.CheckName(name, v); err != nil {
			q.refuse(name, "%s", strings.TrimPrefix(err.Error(), name+" "))
		}
	}
	return list
}

// number returns a whole number within its bounds; def if it is not given.
func (q *parameters) number(name string, def, low, high int) int {
	text := q.one(name)
	if text == "" {
		return def
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		q.refuse(name, "%.40q is out of range: want a whole number from %d to %d", text, low, high)
		return def
	}
	return n
}

func (q *parameters) flag(name string) bool {
	switch text := q.one(name); text {
	case "true":
		return true
	case "", "false":
	default:
		q.refuse(name, "%.40q: want true or false", text)
	}
	return false
}

func (q *parameters) time(name string) time.Time {
	text := q.one(name)
	if text == "" {
		return time.Time{}
	}
	t, err := parseTime(text)
	if err == nil {
		err = checkTime(t)
	}
	switch {
	case err != nil && strings.Contains(text, " "): // what a "+" becomes
		q.refuse(name, "%v; in an address a + is written %%2B", err)
	case err != nil:
		q.refuse(name, "%v", err)
	}
	return t.UTC()
}

// checkTime keeps times within what every store can compare.
func checkTime(t time.Time) error {
	if y := t.UTC().Year(); y < 1970 || y > 2199 {
		return fmt.Errorf("the year %d is out of range: want 1970 to 2199", y)
	}
	return nil
}

func (q *parameters) text(name string, most int) string {
	text := q.one(name)
	if err := checkText(text, most); err != nil {
		q.refuse(name, "%v", err)
	}
	return text
}

func checkText(text string, most int) error {
	if len(text) > most {
		return fmt.Errorf("%d bytes are more than the limit of %d", len(text), most)
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return fmt.Errorf("it is not valid UTF-8, or holds a NUL")
	}
	return nil
}

func (q *parameters) filter() bellhop.Filter {
	f := bellhop.Filter{
		Queues: q.names("queue"), NotQueues: q.names("not_queue"), Kinds: q.names("kind"), Tags: q.names("tag"),
		EnqueuedAfter: q.time("enqueued_after"), EnqueuedBefore: q.time("enqueued_before"),
		FinishedAfter: q.time("finished_after"), FinishedBefore: q.time("finished_before"),
		Text: q.text("text", maxText), Args: q.argMatches(), Error: q.text("error", maxText), Fingerprint: q.text("fingerprint", maxText),
	}
	if err := f.Check(); err != nil {
		q.refuse("fingerprint", "%s", strings.TrimPrefix(err.Error(), "bellhop: fingerprint: "))
	}
	for _, name := range q.list("state") {
		state, err := bellhop.ParseState(name)
		if err != nil {
			q.refuse("state", "%s", strings.TrimPrefix(err.Error(), "state "))
		}
		f.States |= bellhop.States(state)
	}
	if text := q.one("process"); text != "" {
		var err error
		if f.Process, err = bellhop.ParseID(text); err != nil {
			q.refuse("process", "%v", err)
		}
	}
	return f
}

// argMatches reads conditions on arguments: arg=user.id=42, which may be given several times.
func (q *parameters) argMatches() (list []bellhop.ArgMatch) {
	if n := len(q.values["arg"]); n > bellhop.MaxArgMatches {
		q.refuse("arg", "%d conditions are more than the limit of %d", n, bellhop.MaxArgMatches)
		return nil
	}
	for _, given := range q.values["arg"] {
		m, err := bellhop.ParseArgMatch(given)
		if err == nil {
			err = checkText(given, maxText)
		}
		if err != nil {
			q.refuse("arg", "%s", strings.TrimPrefix(err.Error(), "bellhop: "))
			return nil
		}
		list = append(list, m)
	}
	return list
}

// filterFields are the fields of a filter in a body.
var filterFields = map[string]field[bellhop.Filter]{
	"states": func(f *bellhop.Filter, v json.RawMessage) error {
		list, err := listValue(v, maxValues, func(v json.RawMessage) (bellhop.State, error) {
			name, err := textValue(v)
			if err != nil {
				return 0, err
			}
			return bellhop.ParseState(name)
		})
		f.States = bellhop.States(list...)
		return err
	},
	"queues":          func(f *bellhop.Filter, v json.RawMessage) error { return readNames(&f.Queues, "queue", v) },
	"not_queues":      func(f *bellhop.Filter, v json.RawMessage) error { return readNames(&f.NotQueues, "queue", v) },
	"kinds":           func(f *bellhop.Filter, v json.RawMessage) error { return readNames(&f.Kinds, "kind", v) },
	"tags":            func(f *bellhop.Filter, v json.RawMessage) error { return readNames(&f.Tags, "tag", v) },
	"process":         func(f *bellhop.Filter, v json.RawMessage) (err error) { f.Process, err = idValue(v); return err },
	"enqueued_after":  func(f *bellhop.Filter, v json.RawMessage) error { return readBound(&f.EnqueuedAfter, v) },
	"enqueued_before": func(f *bellhop.Filter, v json.RawMessage) error { return readBound(&f.EnqueuedBefore, v) },
	"finished_after":  func(f *bellhop.Filter, v json.RawMessage) error { return readBound(&f.FinishedAfter, v) },
	"finished_before": func(f *bellhop.Filter, v json.RawMessage) error { return readBound(&f.FinishedBefore, v) },
	"text":            func(f *bellhop.Filter, v json.RawMessage) error { return readText(&f.Text, v) },
	"error":           func(f *bellhop.Filter, v json.RawMessage) error { return readText(&f.Error, v) },
	"fingerprint": func(f *bellhop.Filter, v json.RawMessage) error {
		if err := readText(&f.Fingerprint, v); err != nil {
			return err
		}
		return (&bellhop.Filter{Fingerprint: f.Fingerprint}).Check()
	},
	"args": func(f *bellhop.Filter, v json.RawMessage) (err error) {
		f.Args, err = listValue(v, bellhop.MaxArgMatches, func(v json.RawMessage) (m bellhop.ArgMatch, err error) {
			return m, readFields(v, &m, argFields)
		})
		return err
	},
}

// argFields are the fields of a condition on arguments in a body.
var argFields = map[string]field[bellhop.ArgMatch]{
	"path":  func(m *bellhop.ArgMatch, v json.RawMessage) error { return readText(&m.Path, v) },
	"value": func(m *bellhop.ArgMatch, v json.RawMessage) error { return readText(&m.Value, v) },
}

func readText(into *string, v json.RawMessage) (err error) {
	if *into, err = textValue(v); err == nil {
		err = checkText(*into, maxText)
	}
	return err
}

func readNames(into *[]string, what string, v json.RawMessage) (err error) {
	*into, err = listValue(v, maxValues, func(v json.RawMessage) (string, error) {
		name, err := textValue(v)
		if err == nil {
			err = bellhop.CheckName(what, name)
		}
		return name, err
	})
	return err
}

func readBound(into *time.Time, v json.RawMessage) error {
	t, err := timeValue(v)
	if err == nil {
		err = checkTime(t)
	}
	*into = t.UTC()
	return err
}

// id returns the job named by the path.
func (r *request) id() (bellhop.ID, error) {
	id, err := bellhop.ParseID(r.PathValue("id"))
	if err != nil {
		return id, notFound.because("%v", err).in("id")
	}
	return id, nil
}
