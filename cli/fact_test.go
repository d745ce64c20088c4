package cli

import (
	"bytes"
	"strings"
	"testing"
)

// Every name of a fact is followed by a space, however long it is.
func TestFactsAreSetOff(t *testing.T) {
	for _, name := range []string{"try", "dashboard"} {
		var out bytes.Buffer
		a := &app{out: outStream(&out, func(string) string { return "" })}
		a.fact(name, "value")
		if f := strings.Fields(out.String()); len(f) != 2 || f[0] != name || f[1] != "value" {
			t.Errorf("%q", out.String())
		}
	}
}
