package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/bigstore"
	"github.com/gobellhop/bellhop/web"
)

// dashboard makes a dashboard that has not looked at the store yet.
func dashboard(client *bellhop.Client) (*web.Server, error) {
	return web.New(client, web.Options{Authorize: access.Everyone(access.Admin), Logger: slog.New(slog.DiscardHandler)})
}

// addresses are all pages, and lists with each filter that an index serves or a bound ends.
func addresses(ctx context.Context, client *bellhop.Client) ([]string, error) {
	l, err := client.List(ctx, bellhop.Query{Filter: bellhop.Filter{States: bellhop.States(bellhop.StateDead)}, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(l.Jobs) == 0 {
		return nil, fmt.Errorf("big: no job is dead: fill the store first")
	}
	id := l.Jobs[0].ID.String()
	list := []string{
		"/", "/queues", "/queues?page=20", "/queues/" + bigstore.Queue, "/processes", "/charts", "/charts?range=14d&queue=" + bigstore.Queue,
		"/failures?range=24h", "/audit", "/bulk", "/jobs/" + id, "/jobs/" + id + "/edit",
		"/bulk/new?action=retry&all=1&q=" + url.QueryEscape("state=dead"), "/jobs/count", "/palette?q=queue-7",
	}
	for _, q := range []string{
		"", "state=ready", "state=scheduled", "state=dead", "state=succeeded", "queue=" + bigstore.Queue, "kind=" + bigstore.Kind, "tag=" + bigstore.Tag,
		"text=user77%40example", "arg=user.id%3D77", "state=dead&error=reason+k", "enqueued_after=24h", "finished_after=1h", "state=dead&queue=" + bigstore.Queue,
	} {
		list = append(list, "/jobs?"+q)
	}
	return list, nil
}

// pages prints how long the server takes for each page, in the middle of so many requests, and for the look at the store that all pages
// share for as long as twenty such looks take: the overview of dashboards that have not looked yet.
func pages(ctx context.Context, client *bellhop.Client, times int) error {
	list, err := addresses(ctx, client)
	if err != nil {
		return err
	}
	var looks []time.Duration
	for range 5 {
		fresh, err := dashboard(client)
		if err != nil {
			return err
		}
		took, _, err := ask(fresh, "/", 1)
		fresh.Drain()
		if err != nil {
			return err
		}
		looks = append(looks, took)
	}
	slices.Sort(looks)
	fmt.Printf("%8.1f ms  the look that all share\n", ms(looks[len(looks)/2]))
	s, err := dashboard(client)
	if err != nil {
		return err
	}
	defer s.Drain()
	for _, address := range list {
		took, size, err := ask(s, address, times)
		if err != nil {
			return err
		}
		fmt.Printf("%8.1f ms  %7d bytes  %s\n", ms(took), size, address)
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// ask returns how long a page takes in the middle, and what it weighs.
func ask(s *web.Server, address string, times int) (time.Duration, int, error) {
	took := make([]time.Duration, 0, times)
	size := 0
	for range times {
		rec := httptest.NewRecorder()
		begin := time.Now()
		s.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "http://localhost"+address, nil))
		took = append(took, time.Since(begin))
		if rec.Code != http.StatusOK {
			return 0, 0, fmt.Errorf("big: GET %s: %d: %.300s", address, rec.Code, rec.Body)
		}
		size = rec.Body.Len()
	}
	slices.Sort(took)
	return took[len(took)/2], size, nil
}

// cost compares the CPU time of a job at full speed while nobody looks and while three pages are watched, in pairs that take turns.
func cost(ctx context.Context, client *bellhop.Client, pairs int, ended *atomic.Int64) error {
	s, err := dashboard(client)
	if err != nil {
		return err
	}
	server := httptest.NewServer(s)
	defer server.Close()
	defer s.Drain()
	const window = 4 * time.Second
	var ratios []float64
	for pair := range pairs {
		var each [2]float64
		for turn := range 2 {
			open := (pair+turn)%2 == 1
			stop := func() {}
			if open {
				stop = watch(ctx, server.URL, "/", "/queues", "/queues/"+bigstore.Queue)
			}
			jobs, cpu := ended.Load(), cpuTime()
			if err := sleep(ctx, window); err != nil {
				stop()
				return err
			}
			micros := float64((cpuTime() - cpu).Microseconds()) / float64(max(ended.Load()-jobs, 1))
			stop()
			if open {
				each[1] = micros
			} else {
				each[0] = micros
			}
		}
		ratios = append(ratios, each[1]/each[0])
		fmt.Printf("pair %d: %.2f µs a job unwatched, %.2f µs watched: ×%.3f\n", pair+1, each[0], each[1], each[1]/each[0])
	}
	slices.Sort(ratios)
	fmt.Printf("median of %d pairs: ×%.3f (%.3f to %.3f)\n", pairs, ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1])
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// watch reads the live streams of pages until what it returns is called.
func watch(ctx context.Context, url string, list ...string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, page := range list {
		wg.Go(func() {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/live?at="+page, nil)
			if err != nil {
				return
			}
			reply, err := http.DefaultClient.Do(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, reply.Body)
			_ = reply.Body.Close()
		})
	}
	return func() { cancel(); wg.Wait() }
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
