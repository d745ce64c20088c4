package audit

import (
	"fmt"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/redact"
)

// FilterText tells what a filter selects, in the words of the API's parameters: "state=dead queue=mail". Conditions on the values
// of secrets are told without the value.
func FilterText(f *bellhop.Filter) string {
	var parts []string
	add := func(name string, values ...string) {
		for _, v := range values {
			if v != "" {
				parts = append(parts, name+"="+v)
			}
		}
	}
	at := func(name string, t time.Time) {
		if !t.IsZero() {
			add(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	if f.States != 0 {
		add("state", strings.ReplaceAll(f.States.String(), "|", ","))
	}
	add("queue", f.Queues...)
	add("not_queue", f.NotQueues...)
	add("kind", f.Kinds...)
	add("tag", f.Tags...)
	if len(f.IDs) > 0 {
		add("ids", fmt.Sprint(len(f.IDs)))
	}
	if !f.Process.IsZero() {
		add("process", f.Process.String())
	}
	at("enqueued_after", f.EnqueuedAfter)
	at("enqueued_before", f.EnqueuedBefore)
	at("finished_after", f.FinishedAfter)
	at("finished_before", f.FinishedBefore)
	add("text", redact.Text(f.Text))
	for _, m := range f.Args {
		value := m.Value
		if redact.SecretPath(m.Path) {
			value = redact.Mark
		}
		add("arg", m.Path+"="+value)
	}
	add("error", redact.Text(f.Error))
	add("fingerprint", f.Fingerprint)
	return strings.Join(parts, " ")
}
