package web

import (
	"context"
	"time"

	"github.com/gobellhop/bellhop/internal/rollup"
)

const (
	ratesOver  = 5 * time.Minute  // what "now" means for rates and quantiles
	sparkOver  = time.Hour        // what sparklines show
	ratesEvery = 10 * time.Second // workers write no more often
)

// rates is what the rollups tell of all queues: read no more often than they change, whoever watches. Rollups that cannot be read make
// no page fail: what is there without them is shown, and the log tells.
type rates struct {
	queues map[string]*queueRates
}

// queueRates is how a queue has fared in the last minutes.
type queueRates struct {
	// PerSecond is how many jobs ended, over the last five minutes; Enqueued how many came.
	PerSecond, Enqueued float64
	// Attempts ended within five minutes, and Failed of them.
	Attempts, Failed int64
	// Wait and Run are of the attempts of the last five minutes.
	Wait, Run rollup.Sketch
	// Spark has the jobs that ended in each minute of the last hour, and FailSpark the attempts that failed.
	Spark, FailSpark []float64
}

// ErrorRate is the part of the attempts that failed.
func (r *queueRates) ErrorRate() float64 {
	if r == nil || r.Attempts == 0 {
		return 0
	}
	return float64(r.Failed) / float64(r.Attempts)
}

// add sums up another queue.
func (r *queueRates) add(o *queueRates) {
	if o == nil {
		return
	}
	r.PerSecond, r.Enqueued, r.Attempts, r.Failed = r.PerSecond+o.PerSecond, r.Enqueued+o.Enqueued, r.Attempts+o.Attempts, r.Failed+o.Failed
	r.Wait.Merge(&o.Wait)
	r.Run.Merge(&o.Run)
	r.Spark, r.FailSpark = addEach(r.Spark, o.Spark), addEach(r.FailSpark, o.FailSpark)
}

func addEach(sum, more []float64) []float64 {
	if len(sum) < len(more) {
		sum = append(make([]float64, 0, len(more)), sum...)[:len(more)]
	}
	for i, v := range more {
		sum[i] += v
	}
	return sum
}

// readRates reads what workers have written of all queues: two ranges, whatever the number of jobs. The longer one is read first, in larger parts,
// and the reader then has what it shares with the shorter.
func readRates(ctx context.Context, reader *rollup.Reader) (*rates, error) {
	hour, err := reader.Last(ctx, sparkOver)
	if err != nil {
		return nil, err
	}
	charts, err := reader.Counts(ctx, hour, rollup.CountsQuery{By: rollup.ByQueue})
	if err != nil {
		return nil, err
	}
	now, err := reader.Last(ctx, ratesOver)
	if err != nil {
		return nil, err
	}
	table, err := reader.Table(ctx, now, rollup.TableQuery{By: rollup.ByQueue})
	if err != nil {
		return nil, err
	}
	r := &rates{queues: map[string]*queueRates{}}
	of := func(queue string) *queueRates {
		if r.queues[queue] == nil {
			r.queues[queue] = &queueRates{}
		}
		return r.queues[queue]
	}
	seconds := max(1, now.Passed().Seconds())
	for i := range table.Rows {
		row := &table.Rows[i]
		q := of(row.Queue)
		q.PerSecond, q.Enqueued = float64(row.Ended())/seconds, float64(row.Enqueued)/seconds
		q.Attempts, q.Failed, q.Wait, q.Run = row.Attempts(), row.Failed(), row.Wait, row.Run
	}
	points := hour.Points()
	if points > 0 && hour.Covers(points-1) < hour.Step { // the minute under way would always look like a fall
		points--
	}
	for i := range charts {
		q := of(charts[i].Series.Queue)
		q.Spark, q.FailSpark = make([]float64, points), make([]float64, points)
		for j := range points {
			q.Spark[j], q.FailSpark[j] = float64(charts[i].Points[j].Ended()), float64(charts[i].Points[j].Failed())
		}
	}
	return r, nil
}
