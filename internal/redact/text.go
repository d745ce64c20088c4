package redact

import (
	"encoding/json"
	"log/slog"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/gobellhop/bellhop"
)

var (
	assigned = regexp.MustCompile(`((?:[\w.-]+=)*[\w.-]+)=("[^"\n]*"|'[^'\n]*'|[^\s&;,"'\])}]+)`)             // password=hunter2
	member   = regexp.MustCompile(`"([^"\\\n]{1,64})("\s*:\s*")((?:[^"\\\n]|\\.)*)`)                          // "password": "hunter2"
	nested   = regexp.MustCompile(`\\"([^"\\\n]{1,64})(\\"\s*:\s*\\")([^"\\\n]*)`)                            // the same within a JSON string
	header   = regexp.MustCompile(`(?i)\b((?:proxy-)?authorization|(?:set-)?cookie|x-api-key)(:\s*)([^\n]+)`) // Authorization: Basic …
	scheme   = regexp.MustCompile(`(?i)\b(bearer|basic)( +)([A-Za-z0-9._~+/=-]{8,})`)                         // Bearer eyJ…
	userinfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s:/@]*:)()([^\s/@]+)@`)                      // https://user:hunter2@host
)

// Text returns a text for people in which [Mark] stands where secrets are usually written: behind name=, in "name": "…", in
// headers such as Authorization, and in the addresses of URLs. It cannot find others.
func Text(text string) string {
	lower := strings.ToLower(text) // what a form needs is looked for before the form: most texts hold none
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(lower, part) })
	}
	named := func(form *regexp.Regexp, isSecret func(name string) bool, front, back string) {
		text = form.ReplaceAllStringFunc(text, func(found string) string {
			part := form.FindStringSubmatch(found)
			if !isSecret(part[1]) || part[3] == "" {
				return found
			}
			return front + part[1] + part[2] + Mark + back
		})
	}
	always := func(string) bool { return true }
	if has("authorization", "cookie", "x-api-key") {
		named(header, always, "", "")
	}
	if has("bearer", "basic") {
		named(scheme, always, "", "")
	}
	if has("://") && has("@") {
		named(userinfo, always, "", "@")
	}
	if has("=") {
		text = assigned.ReplaceAllStringFunc(text, hideAssigned)
	}
	if has(`"`) && has(":") {
		named(member, Secret, `"`, "")
		named(nested, Secret, `\"`, "")
	}
	return text
}

// hideAssigned hides what stands behind the first name of a secret in name=name=value.
func hideAssigned(found string) string {
	end := 0
	for name := range strings.SplitSeq(assigned.FindStringSubmatch(found)[1], "=") {
		end += len(name) + 1
		if Secret(name) {
			return found[:end] + Mark
		}
	}
	return found
}

// Meta returns metadata in which [Mark] stands for the values of secrets; meta itself if there are none. A value that is JSON
// is looked into.
func Meta(meta map[string]string) map[string]string {
	out := meta
	for key, text := range meta {
		hidden := value(key, text)
		if hidden == text {
			continue
		}
		if len(out) > 0 && reflect.ValueOf(out).Pointer() == reflect.ValueOf(meta).Pointer() {
			out = maps.Clone(meta)
		}
		out[key] = hidden
	}
	return out
}

// Failure returns a failure without the secrets that [Text] finds in it; f itself if there are none.
func Failure(f *bellhop.Failure) *bellhop.Failure {
	if f == nil {
		return nil
	}
	message, stack := Text(f.Message), Text(f.Stack)
	if message == f.Message && stack == f.Stack {
		return f
	}
	return &bellhop.Failure{Class: f.Class, Message: message, Stack: stack}
}

// Log returns an attempt's log without the secrets in its messages and attributes; raw itself if there are none. What is no log is
// replaced as [JSON] does.
func Log(raw []byte) []byte {
	var log bellhop.Log
	if len(raw) == 0 || json.Unmarshal(raw, &log) != nil {
		return JSON(raw)
	}
	hides := false
	hide := func(text *string, hidden string) {
		hides = hides || hidden != *text
		*text = hidden
	}
	for i := range log.Lines {
		l := &log.Lines[i]
		hide(&l.Message, Text(l.Message))
		for k := range l.Attrs {
			hide(&l.Attrs[k].Value, value(l.Attrs[k].Key, l.Attrs[k].Value))
		}
	}
	if !hides {
		return raw
	}
	out, err := json.Marshal(&log)
	if err != nil { // times and levels that were read from JSON, and texts, always encode
		panic(err)
	}
	return out
}

// value returns the text that a name has, without secrets.
func value(name, text string) string {
	switch {
	case text == "":
		return text
	case Secret(name):
		return Mark
	case (text[0] == '{' || text[0] == '[') && json.Valid([]byte(text)):
		return string(JSON([]byte(text)))
	}
	return Text(text)
}

// Sight is what those may see of jobs who may not see secrets: [JSON] of arguments, and of failures the class and [Text] of the message.
var Sight bellhop.Sight = sight{}

type sight struct{}

func (sight) Args(args []byte) []byte { return JSON(args) }

func (sight) Failure(f *bellhop.Failure) *bellhop.Failure {
	return &bellhop.Failure{Class: f.Class, Message: Text(f.Message)}
}

// Progress returns a [bellhop.Progress] in JSON without the secrets that [Text] finds in its note; raw itself if there are none.
func Progress(raw []byte) []byte {
	var p bellhop.Progress
	if json.Unmarshal(raw, &p) != nil {
		return JSON(raw)
	}
	hidden := Text(p.Note)
	if hidden == p.Note {
		return JSON(raw)
	}
	p.Note = hidden
	out, err := json.Marshal(p)
	if err != nil { // two numbers and a text always encode
		panic(err)
	}
	return out
}

// Snapshot returns a job without its secrets: in arguments, progress, result, metadata, reason, errors and logs. What s refers to is
// not changed.
func Snapshot(s *bellhop.Snapshot) *bellhop.Snapshot {
	out := *s
	out.Args, out.Meta = JSON(s.Args), Meta(s.Meta)
	out.Place.Progress, out.Place.Result, out.Place.Reason = Progress(s.Place.Progress), JSON(s.Place.Result), Text(s.Place.Reason)
	out.History = slices.Clone(s.History)
	for i := range out.History {
		out.History[i].Failure, out.History[i].Log = Failure(out.History[i].Failure), Log(out.History[i].Log)
	}
	return &out
}

// Attr returns an attribute of a log line without secrets. It suits [slog.HandlerOptions].ReplaceAttr.
func Attr(_ []string, a slog.Attr) slog.Attr {
	switch v := a.Value; v.Kind() {
	case slog.KindGroup, slog.KindBool, slog.KindTime, slog.KindDuration:
	case slog.KindString:
		if v.String() != "" && Secret(a.Key) {
			return slog.String(a.Key, Mark)
		}
		if text := Text(v.String()); text != v.String() {
			return slog.String(a.Key, text)
		}
	case slog.KindAny:
		if v.Any() != nil && Secret(a.Key) {
			return slog.String(a.Key, Mark)
		}
		return anyAttr(a)
	default: // numbers
		if Secret(a.Key) {
			return slog.String(a.Key, Mark)
		}
	}
	return a
}

// anyAttr looks into a value of any type.
func anyAttr(a slog.Attr) slog.Attr {
	switch v := a.Value.Any().(type) {
	case nil:
		return a
	case error:
		return slog.String(a.Key, Text(v.Error()))
	case json.RawMessage:
		return slog.Any(a.Key, json.RawMessage(JSON(v)))
	case []byte:
		if json.Valid(v) {
			return slog.String(a.Key, string(JSON(v)))
		}
		return slog.String(a.Key, Text(string(v)))
	default:
		switch reflect.TypeOf(v).Kind() {
		case reflect.Map, reflect.Struct, reflect.Slice, reflect.Array, reflect.Pointer:
			// Handlers print these by their JSON or their fields. If there is a secret in it, what is left is printed as JSON.
			if raw, err := json.Marshal(v); err == nil {
				if hidden := JSON(raw); string(hidden) != string(raw) {
					return slog.String(a.Key, string(hidden))
				}
			}
		}
	}
	return a
}
