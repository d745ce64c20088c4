// Package filterurl keeps a filter in the query of an address, so that every list of jobs has an address of its own that can be
// kept, shared and gone back to: state=dead&queue=mail&arg=user.id%3D42.
//
// [Read] makes a filter of a query, and says of each value that it cannot use what is wrong with it. [Reading.Query] is the same
// query in its one canonical form: in a fixed order, without doubles and empty values. [Encode] writes any filter.
package filterurl

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gobellhop/bellhop"
)

const (
	maxValues = 100  // values of one condition
	maxIDs    = 1000 // jobs that are named
	maxText   = 200  // bytes to look for
)

// Names are the parameters of filters in their canonical order. Those that may have several values are given several times, or
// once with commas; but for "arg", "text" and "error", whose values may have commas in them.
var Names = []string{
	"state", "queue", "not_queue", "kind", "tag", "arg", "text", "error", "fingerprint", "process",
	"enqueued_after", "enqueued_before", "finished_after", "finished_before", "id",
}

// Problem says what is wrong with one parameter.
type Problem struct {
	// Name is the parameter's.
	Name string `json:"name"`
	// Text says in one line what is wrong, and what to write.
	Text string `json:"text"`
}

// Reading is what a query says.
type Reading struct {
	// Filter has all conditions that could be read.
	Filter bellhop.Filter
	// Values are the parameters as they were written, without doubles and empty values; those with problems too, so that a form
	// can show them again.
	Values url.Values
	// Problems are what could not be read. While there are any, Filter selects more than was meant.
	Problems []Problem
}

// Read reads the filter of a query. now is what times such as "24h" are counted back from; others are parameters that are known
// to the page and do not belong to the filter.
func Read(query url.Values, now time.Time, others ...string) *Reading {
	r := &Reading{Values: url.Values{}}
	for _, name := range Names {
		for _, v := range query[name] {
			for _, part := range split(name, v) {
				if !slices.Contains(r.Values[name], part) {
					r.Values.Add(name, part)
				}
			}
		}
		if values := r.Values[name]; len(values) > 0 {
			r.condition(name, values, now)
		}
	}
	for name := range query {
		if !slices.Contains(Names, name) && !slices.Contains(others, name) {
			r.refuse(bellhop.CleanText(name, 64), "it is no parameter of this page; known are %s", strings.Join(slices.Concat(Names, others), ", "))
		}
	}
	slices.SortStableFunc(r.Problems, func(a, b Problem) int { return strings.Compare(a.Name, b.Name) })
	return r
}

// split returns the values that one mention of a parameter stands for.
func split(name, value string) []string {
	value = strings.TrimSpace(value)
	switch {
	case value == "":
		return nil
	case name == "arg" || name == "text" || name == "error":
		return []string{value}
	}
	parts := strings.Split(value, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return slices.DeleteFunc(parts, func(p string) bool { return p == "" })
}

// Query returns the canonical query, without the question mark; empty if there is no condition.
func (r *Reading) Query() string { return encode(r.Values) }

// Problem returns what is wrong with a parameter; empty if nothing is.
func (r *Reading) Problem(name string) string {
	for _, p := range r.Problems {
		if p.Name == name {
			return p.Text
		}
	}
	return ""
}

func (r *Reading) refuse(name, format string, args ...any) {
	r.Problems = append(r.Problems, Problem{name, fmt.Sprintf(format, args...)})
}

// condition reads one parameter into the filter.
func (r *Reading) condition(name string, values []string, now time.Time) {
	f := &r.Filter
	most := maxValues
	switch name {
	case "id":
		most = maxIDs
	case "arg":
		most = bellhop.MaxArgMatches
	case "state", "queue", "not_queue", "kind", "tag":
	default:
		most = 1
	}
	if len(values) > most {
		r.refuse(name, "%d values are more than the limit of %d", len(values), most)
		return
	}
	for _, v := range values {
		var err error
		switch name {
		case "state":
			var state bellhop.State
			if state, err = bellhop.ParseState(v); err == nil {
				f.States |= bellhop.States(state)
			}
		case "queue":
			err = addName(&f.Queues, name, v)
		case "not_queue":
			err = addName(&f.NotQueues, "queue", v)
		case "kind":
			err = addName(&f.Kinds, name, v)
		case "tag":
			err = addName(&f.Tags, name, v)
		case "arg":
			err = addArg(f, v)
		case "text":
			f.Text, err = v, checkText(v)
		case "error":
			f.Error, err = v, checkText(v)
		case "fingerprint":
			f.Fingerprint = v
			err = (&bellhop.Filter{Fingerprint: v}).Check()
		case "process":
			f.Process, err = bellhop.ParseID(v)
		case "enqueued_after":
			f.EnqueuedAfter, err = ParseTime(v, now)
		case "enqueued_before":
			f.EnqueuedBefore, err = ParseTime(v, now)
		case "finished_after":
			f.FinishedAfter, err = ParseTime(v, now)
		case "finished_before":
			f.FinishedBefore, err = ParseTime(v, now)
		case "id":
			var id bellhop.ID
			if id, err = bellhop.ParseID(v); err == nil {
				f.IDs = append(f.IDs, id)
			}
		}
		if err != nil {
			r.refuse(name, "%s", strings.TrimPrefix(err.Error(), "bellhop: "))
			return
		}
	}
}

func addName(list *[]string, what, name string) error {
	if err := bellhop.CheckName(what, name); err != nil {
		return err
	}
	*list = append(*list, name)
	return nil
}

func addArg(f *bellhop.Filter, text string) error {
	m, err := bellhop.ParseArgMatch(text)
	if err == nil {
		err = checkText(text)
	}
	if err == nil {
		f.Args = append(f.Args, m)
	}
	return err
}

func checkText(text string) error {
	if len(text) > maxText {
		return fmt.Errorf("%d bytes are more than the limit of %d", len(text), maxText)
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return fmt.Errorf("it is not valid UTF-8, or holds a NUL")
	}
	return nil
}

// Encode returns the canonical query of a filter. [Read] makes the same filter of it.
func Encode(f *bellhop.Filter) string {
	v := url.Values{"queue": f.Queues, "not_queue": f.NotQueues, "kind": f.Kinds, "tag": f.Tags}
	add := func(name, value string) {
		if value != "" {
			v.Add(name, value)
		}
	}
	for _, s := range f.States.List() {
		add("state", s.String())
	}
	for _, m := range f.Args {
		add("arg", m.String())
	}
	add("text", f.Text)
	add("error", f.Error)
	add("fingerprint", f.Fingerprint)
	if !f.Process.IsZero() {
		add("process", f.Process.String())
	}
	for name, t := range map[string]time.Time{
		"enqueued_after": f.EnqueuedAfter, "enqueued_before": f.EnqueuedBefore,
		"finished_after": f.FinishedAfter, "finished_before": f.FinishedBefore,
	} {
		if !t.IsZero() {
			add(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	for _, id := range f.IDs {
		add("id", id.String())
	}
	return encode(v)
}

// encode writes parameters in canonical order. Characters that need no escaping in a query are left as they are.
func encode(values url.Values) string {
	var b strings.Builder
	for _, name := range Names {
		for _, v := range values[name] {
			if b.Len() > 0 {
				b.WriteByte('&')
			}
			b.WriteString(name + "=" + plain.Replace(url.QueryEscape(v)))
		}
	}
	return b.String()
}

// plain undoes escapes that make an address harder to read for nothing.
var plain = strings.NewReplacer("%3A", ":", "%2F", "/")
