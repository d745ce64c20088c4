package cli

import (
	"strings"
	"testing"

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
