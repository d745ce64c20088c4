package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/bigstore"
)

// cost compares the CPU time of a job at full speed while nobody looks and while three pages are watched, in pairs that take turns: that of this
// process, and of the store's server if its process is named.
func cost(ctx context.Context, client *bellhop.Client, pairs, server int, ended *atomic.Int64) error {
	s, err := dashboard(client)
	if err != nil {
		return err
	}
	site := httptest.NewServer(s)
	defer site.Close()
	defer s.Drain()
	const window = 4 * time.Second
	var ratios, speeds []float64
	for pair := range pairs {
		var each [2]struct{ micros, jobs float64 }
		for turn := range 2 {
			open := (pair + turn) % 2
			stop := func() {}
			if open == 1 {
				stop = watch(ctx, site.URL, "/", "/queues", "/queues/"+bigstore.Queue)
			}
			jobs, cpu, began := ended.Load(), cpuTime()+serverTime(server), time.Now()
			if err := sleep(ctx, window); err != nil {
				stop()
				return err
			}
			n := float64(max(ended.Load()-jobs, 1))
			each[open].micros = float64((cpuTime() + serverTime(server) - cpu).Microseconds()) / n
			each[open].jobs = n / time.Since(began).Seconds()
			stop()
		}
		ratios, speeds = append(ratios, each[1].micros/each[0].micros), append(speeds, each[1].jobs/each[0].jobs)
		fmt.Printf("pair %d: %.2f µs a job and %.0f jobs/s unwatched, %.2f µs and %.0f watched: ×%.3f and ×%.3f\n",
			pair+1, each[0].micros, each[0].jobs, each[1].micros, each[1].jobs, ratios[pair], speeds[pair])
	}
	slices.Sort(ratios)
	slices.Sort(speeds)
	fmt.Printf("median of %d pairs: ×%.3f of the CPU (%.3f to %.3f), ×%.3f of the speed\n",
		pairs, ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1], speeds[len(speeds)/2])
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

// serverTime is what a process of this machine and its children have used so far, to a hundredth of a second; 0 where the system does not tell.
func serverTime(process int) (sum time.Duration) {
	if process == 0 {
		return 0
	}
	files, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well formed
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil { // it has just ended
			continue
		}
		// Behind the name, which may have any letters in it, come state, parent, and ten fields later user and system time in hundredths.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		own := filepath.Base(filepath.Dir(file)) == strconv.Itoa(process)
		if len(fields) < 15 || !own && fields[1] != strconv.Itoa(process) {
			continue
		}
		used := fields[11:13]
		if own {
			used = fields[11:15] // with those of children that have ended
		}
		for _, ticks := range used {
			n, _ := strconv.Atoi(ticks)
			sum += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return sum
}
