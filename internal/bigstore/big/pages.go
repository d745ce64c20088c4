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
	"strings"
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

// export is asked for its first part only.
const export = "/jobs/export"

// firstPart is a browser that goes when it has something.
type firstPart struct{ *httptest.ResponseRecorder }

// Write takes the first part.
func (w firstPart) Write(part []byte) (int, error) {
	n, _ := w.ResponseRecorder.Write(part) // it never fails
	return n, io.ErrClosedPipe
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
		"/charts?range=5m", "/charts?range=24h", "/charts?range=14d", "/charts?range=14d&by=queue", "/charts?range=14d&kind=" + bigstore.Kind,
		"/failures?range=1h", "/failures?range=24h", "/failures?range=14d",
		"/audit", "/bulk", "/about", "/jobs/" + id, "/jobs/" + id + "/edit",
		"/bulk/new?action=retry&all=1&q=" + url.QueryEscape("state=dead"), "/jobs/count", "/jobs/count?kind=" + bigstore.Kind, "/jobs/count?text=user77%40example",
		"/palette?q=queue-7", export + "?format=csv&state=dead",
	}
	for _, q := range []string{
		"", "state=ready", "state=scheduled", "state=dead", "state=succeeded", "queue=" + bigstore.Queue, "kind=" + bigstore.Kind, "tag=" + bigstore.Tag,
		"text=user77%40example", "arg=user.id%3D77", "state=dead&error=reason+k", "enqueued_after=24h", "finished_after=1h", "finished_before=168h", "state=dead&queue=" + bigstore.Queue,
		"state=ready&queue=" + bigstore.Queue, "not_queue=" + bigstore.Queue, "state=discarded", "state=running", "fingerprint=0123456789abcdef",
	} {
		list = append(list, "/jobs?"+q)
	}
	return list, nil
}

// pages prints how long the server takes for each page, in the middle of so many requests, and for the look at the store that all pages
// share for as long as twenty such looks take: the overview of dashboards that have not looked yet.
// Only pages with a text in their address are asked for.
func pages(ctx context.Context, client *bellhop.Client, times int, only string) error {
	list, err := addresses(ctx, client)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(address string) bool { return !strings.Contains(address, only) })
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
	for _, address := range list {
		if strings.HasPrefix(address, "/charts") || strings.HasPrefix(address, "/failures") || address == "/queues/"+bigstore.Queue {
			took, err := cold(client, address)
			if err != nil {
				return err
			}
			fmt.Printf("%8.1f ms  for the first time  %s\n", ms(took), address)
		}
	}
	return nil
}

// cold returns how long a page of metrics takes, in the middle, in a dashboard that has looked at the store but shown no such page.
func cold(client *bellhop.Client, address string) (time.Duration, error) {
	var times []time.Duration
	for range 3 {
		fresh, err := dashboard(client)
		if err != nil {
			return 0, err
		}
		_, _, err = ask(fresh, "/processes", 1)
		took := time.Duration(0)
		if err == nil {
			took, _, err = ask(fresh, address, 1)
		}
		fresh.Drain()
		if err != nil {
			return 0, err
		}
		times = append(times, took)
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// ask returns how long a page takes in the middle, and what it weighs.
func ask(s *web.Server, address string, times int) (time.Duration, int, error) {
	took := make([]time.Duration, 0, times)
	size := 0
	for range times {
		rec := httptest.NewRecorder()
		var w http.ResponseWriter = rec
		if strings.HasPrefix(address, export) {
			w = firstPart{rec}
		}
		begin := time.Now()
		serve(s, w, httptest.NewRequest(http.MethodGet, "http://localhost"+address, nil))
		took = append(took, time.Since(begin))
		if rec.Code != http.StatusOK {
			return 0, 0, fmt.Errorf("big: GET %s: %d: %.300s", address, rec.Code, rec.Body)
		}
		size = rec.Body.Len()
	}
	slices.Sort(took)
	return took[len(took)/2], size, nil
}

// serve answers a request as a server does: a handler may give up a reply of which a part was sent.
func serve(s *web.Server, w http.ResponseWriter, r *http.Request) {
	defer func() {
		if v := recover(); v != nil && v != http.ErrAbortHandler {
			panic(v)
		}
	}()
	s.ServeHTTP(w, r)
}
