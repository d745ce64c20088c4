package run

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop/bench/internal/report"
)

func newRunner(only ...string) *Runner {
	return New(Config{
		Rounds: 1, Size: 100, Budget: time.Second, Enqueue: time.Second, Backlog: 1000, Beside: 10, Pairs: 9, Only: only, Module: "../..", Progress: io.Discard,
	})
}

// names lists what is measured as group/task/contender.
func names(groups []Group) (list []string) {
	for _, g := range groups {
		for _, e := range g.Entrants {
			list = append(list, g.Name+"/"+e.Task+"/"+e.Contender.Name)
		}
	}
	return list
}

func TestGroups(t *testing.T) {
	for store, wants := range map[string][]string{
		"sqlite":   {"drain/drain/goqite", "enqueue-64/enqueue-64/backlite", "latency/latency/bellhop", "beside/drain-unknown/bellhop", "backlog/backlog-long/bellhop"},
		"postgres": {"drain/drain/river-default", "snapshot/snapshot-held/bellhop", "drain-2ms/drain-2ms/river", "beside/drain-paused/river", "bulk/bulk/minimum"},
		"mysql":    {"drain/drain/minimum-drop", "snapshot/snapshot-none/bellhop"},
		"redis":    {"drain/drain/asynq-1", "sustained/sustained/asynq-4"},
		"memory":   {"worker/worker/bellhop"},
	} {
		got := names(newRunner().groups(store))
		for _, want := range wants {
			if !slices.Contains(got, want) {
				t.Errorf("%s: %s is not measured", store, want)
			}
		}
		if slices.Contains(got, "enqueue-64/enqueue-64/asynq-1") || slices.Contains(got, "bulk/bulk/bellhop-drop") {
			t.Errorf("%s: what is for the drain only is measured elsewhere", store)
		}
	}
	if got := names(newRunner("postgres/drain/bell", "bulk/river").groups("postgres")); len(got) != 3 {
		t.Errorf("--only lets through %q", got)
	}
}

// TestTargets: each target names a task and contenders that are measured.
func TestTargets(t *testing.T) {
	measured := map[string]bool{}
	r := newRunner()
	r.foreign.node, r.foreign.ruby = nil, nil
	for _, store := range []string{"sqlite", "postgres", "mysql", "redis"} {
		for _, g := range r.groups(store) {
			for _, e := range g.Entrants {
				measured[store+"/"+e.Task+"/"+e.Contender.Name] = true
			}
		}
	}
	for _, target := range report.Targets() {
		names := []string{target.OurTask + "/" + target.Ours}
		for _, theirs := range target.Theirs {
			names = append(names, target.TheirTask+"/"+theirs)
		}
		for _, name := range names {
			if !measured[target.Store+"/"+name] {
				t.Errorf("%s, %s: %s is never measured", target.Store, target.What, name)
			}
		}
	}
}

func TestForeign(t *testing.T) {
	f := &foreign{source: "../../foreign", cache: t.TempDir(), offline: true}
	if notes := f.prepare(); len(notes) == 0 || !strings.Contains(notes[0], "graphile-worker and BullMQ are left out: ") {
		t.Errorf("an empty cache without a network is noted as %q", notes)
	}
	if f.runs("bullmq.mjs keep") {
		t.Error("a program without its packages is said to run")
	}
	if again := f.prepare(); again != nil {
		t.Errorf("the same is noted twice: %q", again)
	}
	path, args, _ := f.command("sidekiq.rb default")
	if path != "ruby" || fmt.Sprint(args) != fmt.Sprint([]string{filepath.Join("../../foreign", "sidekiq.rb"), "default"}) {
		t.Errorf("Sidekiq is started by %s %q", path, args)
	}
	for _, program := range []string{"graphile.mjs", "bullmq.mjs", "sidekiq.rb", "child.mjs"} {
		if _, err := os.Stat(filepath.Join("../../foreign", program)); err != nil {
			t.Error(err)
		}
	}
}
