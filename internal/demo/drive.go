package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Actions that a [Load] can drive.
const (
	ActionCheckout = "checkout"
	ActionSignup   = "signup"
)

// failurePause is how long a driver's worker waits after a request that got no answer at all, so that a shop that is not there
// is not asked thousands of times a second.
const failurePause = 50 * time.Millisecond

// Load says what [Drive] does: each worker sends a request over a real socket, waits for the answer and sends the next one.
type Load struct {
	// URL is the shop's address, such as http://127.0.0.1:8081, without a slash at its end.
	URL string
	// Action is [ActionCheckout] or [ActionSignup]. Empty means checkout.
	Action string
	// Workers is how many send at the same time. Zero means [WebWorkers].
	Workers int
	// Duration ends the load: no request starts after it, those under way are waited for. Zero means no such end.
	Duration time.Duration
	// Orders ends the load after so many requests. Zero means no such end. One of Duration and Orders must be set.
	Orders int
	// Think is how long a worker waits between an answer and its next request, on average: each pause is drawn between half and
	// one and a half of it, so that the workers do not march in step. Zero means not at all.
	Think time.Duration
	// Progress is called about ten times a second and once at the end, never from two goroutines at once. Nil: nobody is told.
	Progress func(Progress)
}

// Progress is how far a load has come.
type Progress struct {
	Elapsed   time.Duration
	Share     float64 // of the whole, from 0 to 1
	Accepted  int
	Failed    int
	P50       time.Duration // of the accepted ones so far; zero when there are none
	PerSecond float64       // accepted ones so far
}

// Sample is one request of a load.
type Sample struct {
	ID      string        // of the order; empty when the answer named none
	Status  int           // the HTTP status; zero when there was no answer
	Started time.Duration // since the load began
	Latency time.Duration // from sending to the end of the answer
	Err     string        // why it failed, in one line; empty when accepted
}

// Accepted reports whether the shop took the order: 201 or 202.
func (s Sample) Accepted() bool { return s.Err == "" }

// Result is what a load measured. Latencies and rate are those of the accepted requests.
type Result struct {
	Samples   []Sample // in the order in which they ended
	Began     time.Time
	Elapsed   time.Duration // until the last answer
	Accepted  int
	Failed    int
	P50, P99  time.Duration // nearest rank; zero when nothing was accepted
	PerSecond float64
}

// IDs returns the ids of the accepted orders.
func (r Result) IDs() []string { return r.ids(true) }

// FailedIDs returns the ids of the orders whose customers saw an error, as far as the answers named them.
func (r Result) FailedIDs() []string { return r.ids(false) }

func (r Result) ids(accepted bool) []string {
	var ids []string
	for _, s := range r.Samples {
		if s.Accepted() == accepted && s.ID != "" {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// Failures counts the failed requests by their reason.
func (r Result) Failures() map[string]int {
	reasons := make(map[string]int)
	for _, s := range r.Samples {
		if !s.Accepted() {
			reasons[s.Err]++
		}
	}
	return reasons
}

// Percentile returns the smallest of the durations that at least the share p of them does not exceed; zero for none.
func Percentile(durations []time.Duration, p float64) time.Duration {
	if len(durations) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(durations))
	rank := int(math.Ceil(p * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// driver is a load under way.
type driver struct {
	load    Load
	client  *http.Client
	began   time.Time
	tickets atomic.Int64

	mu      sync.Mutex
	samples []Sample
}

// Drive runs a load and measures it. When ctx ends early, requests under way are given up and not counted, and what was
// measured until then is returned with the context's error.
func Drive(ctx context.Context, load Load) (Result, error) {
	if load.Action == "" {
		load.Action = ActionCheckout
	}
	if load.Workers == 0 {
		load.Workers = WebWorkers
	}
	switch {
	case load.Action != ActionCheckout && load.Action != ActionSignup:
		return Result{}, fmt.Errorf("demo: no action %q: use %s or %s", load.Action, ActionCheckout, ActionSignup)
	case load.Workers < 0 || load.Duration < 0 || load.Orders < 0 || load.Think < 0:
		return Result{}, errors.New("demo: a load has a negative number: use 0 or more")
	case load.Duration == 0 && load.Orders == 0:
		return Result{}, errors.New("demo: a load would never end: set Duration or Orders")
	}
	transport := &http.Transport{MaxIdleConnsPerHost: load.Workers}
	defer transport.CloseIdleConnections()
	d := &driver{load: load, began: time.Now(), client: &http.Client{Transport: transport, Timeout: time.Minute}}

	watched, done := context.WithCancel(context.Background())
	var watcher, workers sync.WaitGroup
	watcher.Go(func() { d.watch(watched) })
	for range load.Workers {
		workers.Go(func() { d.work(ctx) })
	}
	workers.Wait()
	done()
	watcher.Wait()
	result := d.result()
	d.tell()
	return result, ctx.Err()
}

// work is one worker: it sends requests until the load has ended.
func (d *driver) work(ctx context.Context) {
	for ctx.Err() == nil {
		if d.load.Duration > 0 && time.Since(d.began) >= d.load.Duration {
			return
		}
		ticket := int(d.tickets.Add(1))
		if d.load.Orders > 0 && ticket > d.load.Orders {
			return
		}
		s := d.send(ctx, ticket)
		if ctx.Err() != nil {
			return
		}
		d.mu.Lock()
		d.samples = append(d.samples, s)
		d.mu.Unlock()
		pause := d.load.Think
		if pause > 0 {
			pause = pause/2 + rand.N(pause)
		}
		if s.Status == 0 {
			pause = max(pause, failurePause)
		}
		if pause > 0 {
			wait(ctx, pause) // when ctx ends, the loop does
		}
	}
}

// send makes one request.
func (d *driver) send(ctx context.Context, number int) Sample {
	body, err := json.Marshal(input{
		Email: fmt.Sprintf("guest-%d@example.com", number),
		Item:  goods[number%len(goods)].Name,
	})
	if err != nil {
		return Sample{Err: err.Error()}
	}
	s := Sample{Started: time.Since(d.began)}
	s.Status, s.ID, err = d.exchange(ctx, body)
	s.Latency = time.Since(d.began) - s.Started
	if err != nil {
		s.Err = strings.ReplaceAll(err.Error(), "\n", " ")
	}
	return s
}

func (d *driver) exchange(ctx context.Context, body []byte) (status int, id string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.load.URL+"/"+d.load.Action, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	res, err := d.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, "", err
	}
	var out struct{ ID, Order, Effect, Detail string }
	if err := json.Unmarshal(text, &out); err != nil {
		return res.StatusCode, "", fmt.Errorf("status %d with an answer that is not JSON", res.StatusCode)
	}
	if res.StatusCode == http.StatusCreated || res.StatusCode == http.StatusAccepted {
		return res.StatusCode, out.ID, nil
	}
	if out.Effect != "" { // the detail has ports and other things that differ each time
		return res.StatusCode, out.Order, fmt.Errorf("status %d: %s failed", res.StatusCode, out.Effect)
	}
	return res.StatusCode, out.Order, fmt.Errorf("status %d: %s", res.StatusCode, out.Detail)
}

// watch tells about progress until ctx ends.
func (d *driver) watch(ctx context.Context) {
	for wait(ctx, 100*time.Millisecond) {
		d.tell()
	}
}

func (d *driver) tell() {
	if d.load.Progress == nil {
		return
	}
	r := d.result()
	p := Progress{Elapsed: time.Since(d.began), Accepted: r.Accepted, Failed: r.Failed, P50: r.P50}
	if seconds := p.Elapsed.Seconds(); seconds > 0 {
		p.PerSecond = float64(r.Accepted) / seconds
	}
	if d.load.Duration > 0 {
		p.Share = p.Elapsed.Seconds() / d.load.Duration.Seconds()
	}
	if d.load.Orders > 0 {
		p.Share = max(p.Share, float64(len(r.Samples))/float64(d.load.Orders))
	}
	p.Share = min(p.Share, 1)
	d.load.Progress(p)
}

// result sums up the samples so far.
func (d *driver) result() Result {
	d.mu.Lock()
	r := Result{Samples: slices.Clone(d.samples), Began: d.began}
	d.mu.Unlock()
	var latencies []time.Duration
	for _, s := range r.Samples {
		r.Elapsed = max(r.Elapsed, s.Started+s.Latency)
		if s.Accepted() {
			latencies = append(latencies, s.Latency)
		}
	}
	r.Accepted = len(latencies)
	r.Failed = len(r.Samples) - r.Accepted
	r.P50, r.P99 = Percentile(latencies, 0.50), Percentile(latencies, 0.99)
	if r.Elapsed > 0 {
		r.PerSecond = float64(r.Accepted) / r.Elapsed.Seconds()
	}
	return r
}
