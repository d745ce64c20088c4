package report

// Sample is what one run of one contender came to. All but the first four are for each job.
type Sample struct {
	Jobs    int
	Seconds float64
	// Rate is jobs per second; for a latency run it means nothing.
	Rate float64
	// Peak is the most memory that the contender's process held, in bytes.
	Peak int64
	// ClientCPU and ServerCPU are microseconds of processor time.
	ClientCPU, ServerCPU float64
	// Commits are transactions or commands, LogBytes what was logged for durability, Buffers the pages looked at.
	Commits, LogBytes, Buffers float64
	// Allocs are allocations in the contender's process; 0 for programs that are not Go.
	Allocs float64
	// Latencies are microseconds from before the enqueue to the handler.
	Latencies []int64
}

// CPU is the processor time of both sides.
func (s Sample) CPU() float64 { return s.ClientCPU + s.ServerCPU }

// Result holds the runs of one contender at one task.
type Result struct {
	Store string
	// Group names the table it stands in, Task what was done.
	Group, Task string
	// Contender, Family and Title name who did it.
	Contender, Family, Title string
	// Keeps says that finished jobs stay in the store, Default that the settings are the product's own.
	Keeps, Default bool
	Samples        []Sample
	// Fault says why there is no result.
	Fault string
}

// Rate is the median of the rates.
func (r *Result) Rate() float64 { return r.median(func(s Sample) float64 { return s.Rate }) }

// CPU is the median of the processor time for each job, of both sides.
func (r *Result) CPU() float64 { return r.median(Sample.CPU) }

func (r *Result) median(of func(Sample) float64) float64 { return Median(r.values(of)) }

func (r *Result) values(of func(Sample) float64) []float64 {
	values := make([]float64, len(r.Samples))
	for i, s := range r.Samples {
		values[i] = of(s)
	}
	return values
}

// Latency returns a percentile of the latencies of all runs, in milliseconds.
func (r *Result) Latency(percent float64) float64 {
	var all []float64
	for _, s := range r.Samples {
		for _, l := range s.Latencies {
			all = append(all, float64(l)/1000)
		}
	}
	return Percentile(all, percent)
}
