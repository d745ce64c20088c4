package control

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/gobellhop/bellhop"
)

const (
	// GoneSpace is the space of the records of processes that died, the newest first.
	GoneSpace = "gone"
	goneFor   = 7 * 24 * time.Hour
	goneJobs  = 20
)

// Gone is what became of the jobs that a dead process held, as one sweep found them. Processes that held none leave no record.
type Gone struct {
	// Process is its id. The rest of it is known if the sweeper had seen it alive.
	Process   bellhop.ID `json:"process"`
	Name      string     `json:"name,omitempty"`
	Host      string     `json:"host,omitempty"`
	Version   string     `json:"version,omitempty"`
	StartedAt time.Time  `json:"started_at,omitzero"`
	LastBeat  time.Time  `json:"last_beat,omitzero"`
	// SweptAt is when its jobs were taken back, and SweptBy the name of the process that did it.
	SweptAt time.Time `json:"swept_at"`
	SweptBy string    `json:"swept_by"`
	// Jobs names the first twenty of them; Retried and Dead count what became of all: ready for another process, or dead after too many crashes.
	Jobs    []bellhop.ID `json:"jobs"`
	Retried int          `json:"retried"`
	Dead    int          `json:"dead,omitempty"`
}

// Add counts one of its jobs.
func (g *Gone) Add(o *bellhop.Outcome) {
	if len(g.Jobs) < goneJobs {
		g.Jobs = append(g.Jobs, o.Token.JobID)
	}
	if o.Kind == bellhop.OutcomeDead {
		g.Dead++
	} else {
		g.Retried++
	}
}

// WriteGone keeps records of dead processes for a week.
func WriteGone(ctx context.Context, store bellhop.Store, list []*Gone) error {
	for _, g := range list { // of a store of several parts each may lie in another
		value, err := json.Marshal(g)
		if err != nil { // but for a year beyond 9999 all of it encodes
			return fmt.Errorf("control: %w", err)
		}
		err = store.Put(ctx, []bellhop.RecordWrite{{
			Space: GoneSpace, Key: fmt.Sprintf("%016x/%s", math.MaxInt64-g.SweptAt.UnixMicro(), g.Process),
			Value: value, Expect: bellhop.ExpectAny, TTL: goneFor,
		}})
		if err != nil {
			return fmt.Errorf("control: %w", err)
		}
	}
	return nil
}

// ListGone returns at most limit of the processes that died within the last seven days, the newest first, those after the key after;
// next is the key for the next page, empty at the end.
func ListGone(ctx context.Context, store bellhop.Store, after string, limit int) (list []Gone, next string, err error) {
	records, err := store.Records(ctx, &bellhop.RecordQuery{Space: GoneSpace, After: after, Limit: limit})
	if err != nil {
		return nil, "", fmt.Errorf("control: %w", err)
	}
	for _, r := range records {
		var g Gone
		if json.Unmarshal(r.Value, &g) == nil {
			list = append(list, g)
		}
	}
	if len(records) == limit && limit > 0 {
		next = records[limit-1].Key
	}
	return list, next, nil
}
