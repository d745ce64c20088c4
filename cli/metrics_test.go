package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop/internal/rollup"
)

func TestMetricsAsJSON(t *testing.T) {
	s := newScript(t)
	got := s.play(`@ count
@ process web-1/4711 mail mail.welcome
$ bellhop enqueue mail.welcome --queue mail
$ bellhop mark deploy 42
@ claim
@ fail refused
$ bellhop metrics --json --failures`)
	text := got[strings.LastIndex(got, "\n| ")+3:]
	var m struct {
		metricsResult
		Attempts int64 `json:"attempts"`
	}
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if m.Attempts != 1 || len(m.Points) != 60 || len(m.Failures) != 1 || m.Failures[0].Pattern != "refused" || m.Marks[0].Text != "deploy 42" {
		t.Errorf("the result is %+v", m)
	}
}

func TestSpark(t *testing.T) {
	well, ill := rollup.Counts{Succeeded: 8}, rollup.Counts{Succeeded: 1, Retried: 3}
	for want, points := range map[string][]rollup.Counts{
		"":    {},
		"█ ×": {well, {}, ill},
		"▁█":  {{Succeeded: 1}, {Succeeded: 1000}},
	} {
		if got := spark(points); got != want {
			t.Errorf("%v is drawn as %q, want %q", points, got, want)
		}
	}
	if got := []rune(spark(make([]rollup.Counts, 1000))); len(got) != 0 {
		t.Errorf("nothing is drawn as %q", got)
	}
	long := make([]rollup.Counts, 336)
	for i := range long {
		long[i] = well
	}
	if got := []rune(spark(long)); len(got) != sparkWidth {
		t.Errorf("336 points are drawn in %d columns", len(got))
	}
}
