package bigstore

import (
	"fmt"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/rollup"
)

// The history that goes with the jobs.
const (
	historyKinds     = 3  // of each queue
	historyProcesses = 4  // that have written it
	historyJobs      = 20 // of each kind in each queue in a minute: a thousand a second in all
)

// History returns two weeks of metrics like those that workers would have kept: of three kinds in each queue, and of the failures
// of ten kinds for twenty reasons.
func History(size Size) *rollup.History {
	h := &rollup.History{Jobs: historyJobs, Processes: historyProcesses, Ago: rollup.Longest + time.Hour}
	for q := range size.Queues {
		for k := range historyKinds {
			h.Series = append(h.Series, rollup.Series{Queue: fmt.Sprintf("queue-%d", q), Kind: fmt.Sprintf("kind-%d", (q+17*k)%size.Kinds)})
		}
	}
	for i := range 200 {
		kind := fmt.Sprintf("kind-%d", i/20)
		f := &bellhop.Failure{Class: "net.OpError", Message: fmt.Sprintf("dial 10.0.0.%d:25: reason %c", i, 'a'+i%20)}
		h.Groups = append(h.Groups, rollup.FailureGroup{
			Fingerprint: bellhop.Fingerprint(kind, f), Kind: kind, Class: f.Class, Pattern: bellhop.FailurePattern(f.Message), Sample: f.Message,
			Queues: []string{fmt.Sprintf("queue-%d", i), fmt.Sprintf("queue-%d", i+50)},
		})
	}
	return h
}
