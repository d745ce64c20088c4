package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/api"
)

// wholeJobs enqueues lines of whole jobs. It hands them to the HTTP API within this process, so that a line means the same
// here and there.
func (c *enqueueCmd) wholeJobs(ctx context.Context, a *app, client *bellhop.Client) error {
	input, err := a.readInput(ctx, "-", maxInput)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(input)) == 0 {
		return a.printReceipts(nil)
	}
	server, err := api.New(client, api.Options{
		Definitions: definitions(), MaxBodyBytes: maxInput, Authorize: access.Everyone(access.Act),
	})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost/v1/jobs", bytes.NewReader(input))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-ndjson")
	reply := &answer{header: http.Header{}, status: http.StatusOK}
	server.ServeHTTP(reply, r)
	if reply.status >= 300 {
		return reply.problem()
	}
	var receipts []bellhop.Receipt
	if err := json.Unmarshal(reply.body.Bytes(), &receipts); err != nil {
		return fmt.Errorf("read the reply: %w", err)
	}
	return a.printReceipts(receipts)
}

// answer is an [http.ResponseWriter] that keeps the reply.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *answer) Header() http.Header         { return w.header }
func (w *answer) WriteHeader(status int)      { w.status = status }
func (w *answer) Write(b []byte) (int, error) { return w.body.Write(b) }

// problem makes an error of a problem+json reply.
func (w *answer) problem() error {
	var p api.Problem
	if err := json.Unmarshal(w.body.Bytes(), &p); err != nil {
		return fmt.Errorf("the API answered with status %d", w.status)
	}
	code := exitFailed
	switch {
	case w.status == http.StatusServiceUnavailable:
		code = exitUnavailable
	case w.status < 500:
		code = exitRefused
	}
	return exitWith(code, "%s; nothing was enqueued", p.Detail)
}
