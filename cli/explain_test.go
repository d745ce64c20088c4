package cli

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobellhop/bellhop/docs"
)

func TestSummary(t *testing.T) {
	for _, e := range docs.Errors() {
		got := summary(e.Text)
		if got == "" || len(got) > 140 || strings.ContainsAny(got, "`[\n") || strings.HasPrefix(got, "bellhop.") || got[0] >= '0' && got[0] <= '9' {
			t.Errorf("%s: %q", e.Name, got)
		}
	}
	const text = "`bellhop.ErrStale`: *the claim is stale: the job has\nbeen taken back.* An attempt wanted to write."
	if got := summary(text); got != "the claim is stale: the job has been taken back" {
		t.Errorf("got %q", got)
	}
	if got := summary("503 of `/livez`. The worker's loops stand still; a new one would do better. Start one."); got != "The worker's loops stand still; a new one would do better" {
		t.Errorf("got %q", got)
	}
}

// What explain prints fits the terminal, and has all the words of the entry; where a link leads is told.
func TestExplainFits(t *testing.T) {
	for _, width := range []int{0, 40, 80, 200} {
		for _, e := range docs.Errors() {
			var out strings.Builder
			a := &app{out: stream{Writer: &out, width: width}}
			if err := (&explainCmd{Name: e.Name}).Run(a); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(e.Text, ".md#") && !strings.Contains(out.String(), "/docs/") || strings.Contains(out.String(), "](") {
				t.Errorf("%s: a link leads nowhere: %s", e.Name, &out)
			}
			for line := range strings.Lines(out.String()) {
				most := width
				if most == 0 || most > 100 {
					most = 100
				}
				if line = strings.TrimSpace(line); strings.Contains(line, " ") && utf8.RuneCountInString(line) > most {
					t.Errorf("%s, width %d: %q", e.Name, width, line)
				}
			}
		}
	}
	if got := fold("a bb ccc\ndddd\n\ne", 4); got != "a bb\nccc\ndddd\n\ne" {
		t.Errorf("%q", got)
	}
}
