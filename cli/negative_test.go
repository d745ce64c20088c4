package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func TestNegative(t *testing.T) {
	var g struct {
		JSON     bool
		Priority int
		Yes      bool `short:"y"`
	}
	parser, err := kong.New(&g)
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"":                             "",
		"a b --json":                   "a b --json",
		"a --priority 3 b":             "a --priority 3 b",
		"a --priority -3 b":            "a --priority=-3 b",
		"a --priority=-3 b":            "a --priority=-3 b",
		"a --priority":                 "a --priority",
		"a --json -3":                  "a --json -- -3",
		"a b -3":                       "a b -- -3",
		"a -3 --json b --priority -4":  "a --json --priority=-4 -- -3 b",
		"a -3 --priority 4 - b -y":     "a --priority 4 -y -- -3 - b",
		"a -.5":                        "a -- -.5",
		"a -y - -- -3 --json":          "a -y - -- -3 --json",
		"a -1 --json b -- -3 --json":   "a --json -- -1 b -3 --json",
		"a --priority -3 -- -3 --json": "a --priority=-3 -- -3 --json",
	} {
		if got := negative(parser.Model, strings.Fields(line)); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

// What is negative and must not be is refused as such, and not as a flag that nobody knows.
func TestNegativeIsNoFlag(t *testing.T) {
	store := newStore(t)
	for line, want := range map[string]string{
		"queues concurrency mail -3":          "-3",
		"queues concurrency mail -3 --json":   "-3",
		"metrics --since -1h":                 `"-1h" is out of range: want a length of time from 1m to 14d`,
		"jobs list --since -1h":               `"-1h" is not a time`,
		"metrics --limit -1":                  "--limit=-1 is out of range: want 1 to 1000",
		"enqueue test.kind {} --priority -77": "-77",
	} {
		code, _, text := run(t, store, "", strings.Fields(line)...)
		if code == exitOK || !strings.Contains(text, want) || strings.Contains(text, "flag") {
			t.Errorf("bellhop %s: %d, %s", line, code, text)
		}
	}
	for _, line := range []string{"enqueue test.kind {} --priority -7", "enqueue test.kind -12.5"} { // both may be
		if code, _, text := run(t, store, "", strings.Fields(line)...); code != exitOK {
			t.Errorf("bellhop %s: %d, %s", line, code, text)
		}
	}
}

func TestEmptyFlag(t *testing.T) {
	var g struct {
		Queue []string
		ID    string `name:"id"`
		Yes   bool
	}
	parser, err := kong.New(&g)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"a", "--queue", "b", "--yes"}, ""},
		{[]string{"a", "--queue", "b", "--id", ""}, "--id"},
		{[]string{"--queue="}, "--queue"},
		{[]string{"--queue=a", "--id=", "--queue="}, "--id"},
		{[]string{"--queue", "--id", ""}, ""}, // --id is the value
		{[]string{"--queue"}, ""},
		{[]string{"", "--yes", "", "--yes="}, ""},
		{[]string{"--", "--queue", ""}, ""},
	} {
		if got := emptyFlag(parser.Model, c.args); got != c.want {
			t.Errorf("%q: %q, want %q", c.args, got, c.want)
		}
	}
}
