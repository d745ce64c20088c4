package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop/bench/internal/peer"
	"github.com/gobellhop/bellhop/internal/testservers"
)

// TestMain makes this program a child of itself, as main does.
func TestMain(m *testing.M) {
	if peer.Child(os.Stdin, os.Stdout) {
		return
	}
	os.Exit(m.Run())
}

// TestShort runs a little of everything against real servers, and reads what comes out.
func TestShort(t *testing.T) {
	stores := []string{"sqlite", "memory"}
	for _, store := range []string{testservers.NamePostgres, testservers.NameMariaDB, testservers.NameRedis} {
		if testservers.Selected(store) && !testing.Short() {
			stores = append(stores, store)
		}
	}
	docs, lines := t.TempDir(), filepath.Join(t.TempDir(), "lines.json")
	var out, progress bytes.Buffer
	if err := bench(t.Context(), []string{"--short", "--store", strings.Join(stores, ","), "--json", lines, "--write", docs}, &out, &progress); err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	drained := map[string]bool{}
	for _, line := range readLines(t, lines) {
		store, contender := line["store"], line["contender"]
		if fault := line["fault"]; fault != nil && (contender == "bellhop" || contender == "minimum") {
			t.Errorf("%v on %v: %v", contender, store, fault)
		}
		if line["task"] == "drain" && contender == "bellhop" && line["jobs_per_second"].(float64) > 0 {
			drained[store.(string)] = true
		}
	}
	for _, store := range stores {
		if store != "memory" && !drained[store] {
			t.Errorf("Bellhop drained nothing on %s:\n%s", store, progress.String())
		}
	}
	page, err := os.ReadFile(filepath.Join(docs, "benchmarks.md"))
	if err != nil || !strings.Contains(string(page), "Hand-written minimum") || !strings.Contains(out.String(), "Targets") {
		t.Errorf("the page or the tables lack their content (%v)", err)
	}
	if chart, err := os.ReadFile(filepath.Join(docs, "benchmarks", "drain.svg")); err != nil || !bytes.Contains(chart, []byte("Bellhop")) {
		t.Errorf("the chart lacks its content (%v)", err)
	}
}

func readLines(t *testing.T, name string) (lines []map[string]any) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for scanner := bufio.NewScanner(f); scanner.Scan(); {
		var line map[string]any
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			t.Fatalf("%s: %v", scanner.Text(), err)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestParseRefuses(t *testing.T) {
	for _, args := range [][]string{{"drain"}, {"--rounds", "0"}, {"--size", "1"}, {"--nonsense"}} {
		if _, err := parse(args, &bytes.Buffer{}); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
}
