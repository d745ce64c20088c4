package rig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTurn(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	turn, err := TakeTurn(t.Context(), "touch "+mark+"; echo; cat >"+mark+".out; rm "+mark)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(mark); err != nil {
		t.Errorf("the command has not run before the measurement: %v", err)
	}
	turn.End()
	if _, err := os.Stat(mark); err == nil {
		t.Error("the command had not ended after the measurement")
	}
	if _, err := TakeTurn(t.Context(), "echo no >&2; exit 3"); err == nil || !strings.Contains(err.Error(), "no") {
		t.Errorf("a command that fails: %v", err)
	}
}
