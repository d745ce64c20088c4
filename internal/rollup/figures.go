package rollup

import "time"

// Figures are sums as programs read them: JSON with times in seconds.
type Figures struct {
	Counts
	// Attempts, Ended, Failed and ErrorRate are what the methods of Counts return.
	Attempts  int64   `json:"attempts"`
	Ended     int64   `json:"ended"`
	Failed    int64   `json:"failed"`
	ErrorRate float64 `json:"error_rate"`
	// Wait is from due to start, Run from start to end, of the attempts that started.
	Wait Times `json:"wait"`
	Run  Times `json:"run"`
}

// Times are what a sketch tells, in seconds; all are 0 if it is empty. The quantiles are right to [RelativeError].
type Times struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean_seconds"`
	P50   float64 `json:"p50_seconds"`
	P95   float64 `json:"p95_seconds"`
	P99   float64 `json:"p99_seconds"`
	Max   float64 `json:"max_seconds"`
}

// Figures returns the sums as programs read them.
func (s *Sums) Figures() Figures {
	return Figures{
		Counts: s.Counts, Attempts: s.Attempts(), Ended: s.Ended(), Failed: s.Failed(), ErrorRate: s.ErrorRate(),
		Wait: s.Wait.times(), Run: s.Run.times(),
	}
}

func (s *Sketch) times() Times {
	return Times{
		Count: s.Count(), Mean: s.Mean().Seconds(), P50: s.Quantile(0.5).Seconds(), P95: s.Quantile(0.95).Seconds(),
		P99: s.Quantile(0.99).Seconds(), Max: s.Quantile(1).Seconds(),
	}
}

// PointFigures are the figures of one step of a chart.
type PointFigures struct {
	At time.Time `json:"at"`
	// CoversSeconds is how much of the step has passed.
	CoversSeconds float64 `json:"covers_seconds"`
	Figures
}

// SeriesFigures are the figures of a queue, a kind, or a kind within a queue; what is empty means all.
type SeriesFigures struct {
	Queue string `json:"queue,omitempty"`
	Kind  string `json:"kind,omitempty"`
	Figures
}

// PointFigures returns the chart's points as programs read them.
func (c *Chart) PointFigures() []PointFigures {
	list := make([]PointFigures, len(c.Points))
	for i := range c.Points {
		p := &c.Points[i]
		list[i] = PointFigures{p.At.UTC(), p.Covers.Seconds(), p.Figures()}
	}
	return list
}

// SeriesFigures returns the row as programs read it.
func (r *Row) SeriesFigures() SeriesFigures { return SeriesFigures{r.Queue, r.Kind, r.Figures()} }
