package report

import (
	"encoding/json"
	"io"
)

// line is one result as JSON.
type line struct {
	Store     string  `json:"store"`
	Task      string  `json:"task"`
	Contender string  `json:"contender"`
	Keeps     bool    `json:"keeps_finished"`
	Default   bool    `json:"default_settings"`
	Rate      float64 `json:"jobs_per_second"`
	Ratio     float64 `json:"bellhop_ratio,omitempty"`
	Spread    float64 `json:"spread"`
	Runs      int     `json:"runs"`
	Jobs      float64 `json:"jobs"`
	Client    float64 `json:"cpu_us_client"`
	Server    float64 `json:"cpu_us_server"`
	Commits   float64 `json:"commits_per_job"`
	LogBytes  float64 `json:"log_bytes_per_job"`
	Buffers   float64 `json:"buffers_per_job"`
	Allocs    float64 `json:"allocations_per_job,omitempty"`
	Peak      float64 `json:"peak_bytes"`
	P50       float64 `json:"p50_ms,omitempty"`
	P99       float64 `json:"p99_ms,omitempty"`
	Fault     string  `json:"fault,omitempty"`
}

// targetLine is one verdict as JSON.
type targetLine struct {
	Store    string  `json:"store"`
	Target   string  `json:"target"`
	Against  string  `json:"against"`
	Want     float64 `json:"at_least"`
	Ratio    float64 `json:"ratio"`
	RateLow  float64 `json:"rate_low"`
	RateHigh float64 `json:"rate_high"`
	CPU      float64 `json:"cpu_ratio"`
	CPULow   float64 `json:"cpu_low"`
	CPUHigh  float64 `json:"cpu_high"`
	Pairs    int     `json:"pairs"`
	Holds    bool    `json:"holds"`
}

// waitLine is one verdict about a wait as JSON.
type waitLine struct {
	Store  string  `json:"store"`
	Task   string  `json:"task"`
	Most50 float64 `json:"p50_ms_at_most"`
	P50    float64 `json:"p50_ms"`
	Most99 float64 `json:"p99_ms_at_most"`
	P99    float64 `json:"p99_ms"`
	Jobs   int     `json:"jobs"`
	Holds  bool    `json:"holds"`
}

// WriteJSON writes each result, then each verdict, as a line of JSON.
func (r *Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	for _, x := range r.Results {
		l := line{
			Store: x.Store, Task: x.Task, Contender: x.Contender, Keeps: x.Keeps, Default: x.Default, Rate: x.Rate(), Ratio: r.Ratio(x),
			Spread: Spread(x.values(func(s Sample) float64 { return s.Rate })), Runs: len(x.Samples), Fault: x.Fault,
			P50: x.Latency(50), P99: x.Latency(99),
		}
		for into, of := range map[*float64]func(Sample) float64{
			&l.Client:   func(s Sample) float64 { return s.ClientCPU },
			&l.Server:   func(s Sample) float64 { return s.ServerCPU },
			&l.Commits:  func(s Sample) float64 { return s.Commits },
			&l.LogBytes: func(s Sample) float64 { return s.LogBytes },
			&l.Buffers:  func(s Sample) float64 { return s.Buffers },
			&l.Allocs:   func(s Sample) float64 { return s.Allocs },
			&l.Peak:     func(s Sample) float64 { return float64(s.Peak) },
			&l.Jobs:     func(s Sample) float64 { return float64(s.Jobs) },
		} {
			*into = x.median(of)
		}
		if err := encoder.Encode(l); err != nil {
			return err
		}
	}
	for _, t := range Targets() {
		v := r.Judge(t)
		if !v.Measured {
			continue
		}
		if err := encoder.Encode(targetLine{
			v.Store, v.What, v.Against, v.Want, v.Ratio, v.Rate.Low, v.Rate.High, v.CPU.Ratio, v.CPU.Low, v.CPU.High, v.Pairs, v.Holds,
		}); err != nil {
			return err
		}
	}
	for _, w := range Waits() {
		v := r.JudgeWait(w)
		if !v.Measured {
			continue
		}
		if err := encoder.Encode(waitLine{v.Store, v.Task, v.P50, v.Got50, v.P99, v.Got99, v.Jobs, v.Holds}); err != nil {
			return err
		}
	}
	return nil
}
