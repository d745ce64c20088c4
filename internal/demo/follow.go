package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Seen is one page of an order as a browser got it.
type Seen struct {
	ID      string        // the order's id
	After   time.Duration // since the order was sent
	Status  int           // the HTTP status
	State   State         // what the page says
	Refresh time.Duration // after which time the page asks again by itself; zero when it does not
}

var (
	stateOnPage   = regexp.MustCompile(`<span class="state ([a-z]+)" data-order="([a-z0-9_]+)"`)
	refreshOnPage = regexp.MustCompile(`<meta http-equiv="refresh" content="([0-9]+); url=([^"]*)">`)
)

// Follow buys something as a browser does, with a form, and then does only what the pages ask for: it waits and loads the next
// one as long as a page refreshes itself. It returns the pages seen until the last, or until ctx ends, with its error.
func Follow(ctx context.Context, shop string) ([]Seen, error) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	form := url.Values{"email": {"guest@example.com"}, "item": {goods[0].Name}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, shop+"/checkout", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var pages []Seen
	for began := time.Now(); ; {
		page, next, err := load(client, req)
		if err != nil {
			return pages, err
		}
		page.After = time.Since(began)
		pages = append(pages, page)
		if next == nil {
			return pages, nil
		}
		if !wait(ctx, page.Refresh) {
			return pages, context.Cause(ctx)
		}
		if req, err = http.NewRequestWithContext(ctx, http.MethodGet, next.String(), nil); err != nil {
			return pages, err
		}
	}
}

// load gets one page and where it leads by itself, nil for nowhere.
func load(client *http.Client, req *http.Request) (Seen, *url.URL, error) {
	req.Header.Set("Accept", "text/html")
	res, err := client.Do(req)
	if err != nil {
		return Seen{}, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return Seen{}, nil, err
	}
	state := stateOnPage.FindSubmatch(body)
	if state == nil {
		return Seen{}, nil, fmt.Errorf("demo: the shop answered %d without an order's state", res.StatusCode)
	}
	page := Seen{Status: res.StatusCode, State: State(state[1]), ID: string(state[2])}
	refresh := refreshOnPage.FindSubmatch(body)
	if refresh == nil {
		return page, nil, nil
	}
	seconds, err := strconv.Atoi(string(refresh[1]))
	if err != nil || seconds < 1 {
		return Seen{}, nil, errors.New("demo: the order page asks again at once: it must wait at least a second")
	}
	page.Refresh = time.Duration(seconds) * time.Second
	next, err := req.URL.Parse(string(refresh[2]))
	return page, next, err
}
