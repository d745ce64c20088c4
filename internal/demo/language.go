package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/jobs/httpjob"
	"github.com/gobellhop/bellhop/jobs/mailjob"
)

// anyLanguage hands work to Bellhop as a program in any language does: one HTTP request with two jobs, a call and a mail.
func (p *play) anyLanguage(ctx context.Context) error {
	p.Chapter("5  From any language, by HTTP")
	id := newID("api_")
	p.expect.Alone = map[string][]string{EffectChat: {id}, EffectMail: {id}}
	jobs := []map[string]any{
		{"kind": httpjob.Kind, "args": httpjob.Args{
			Method: http.MethodPost, URL: "http://" + p.world.Chat.Addr() + "/messages",
			Body: fmt.Sprintf(`{"order":%q,"text":"good evening"}`, id),
		}},
		{"kind": mailjob.Kind, "args": mailjob.Args{
			From: mailFrom, To: []string{"guest@example.com"}, Subject: "Good evening", Text: "Your bags are in your room.",
			Headers: map[string]string{"X-Order": id}, // by which the mail server counts
		}},
	}
	p.Line("  POST /v1/jobs")
	p.Line(`  [{"kind":"http.request","args":{"method":"POST","url":"http://…/messages",…}},`)
	p.Line(`   {"kind":"mail.send","args":{"to":["guest@example.com"],"subject":…}}]`)
	p.Line("")

	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	began := time.Now()
	var made []struct{ ID string }
	status, err := talk(ctx, client, http.MethodPost, p.api+"/v1/jobs", jobs, &made)
	if err != nil {
		return err
	}
	p.linef("  %s  %d  both are kept", padLeft(millis(time.Since(began)), 8), status)
	for _, job := range made {
		kind, state, err := p.follow(ctx, client, job.ID)
		if err != nil {
			return err
		}
		ok := state == bellhop.StateSucceeded
		p.linef("  %s  %s  %s", padLeft(millis(time.Since(began)), 8), pad(kind, 12), p.good(ok, state.String()))
		if !ok {
			p.fault("%s handed over by HTTP ended as %s", kind, state)
		}
	}
	return nil
}

// follow asks the API for a job until it has ended.
func (p *play) follow(ctx context.Context, client *http.Client, id string) (kind string, state bellhop.State, err error) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for {
		var now struct {
			Kind  string
			State bellhop.State
			Final bool
		}
		if _, err := talk(ctx, client, http.MethodGet, p.api+"/v1/jobs/"+id, nil, &now); err != nil || now.Final {
			return now.Kind, now.State, err
		}
		if !wait(ctx, 20*time.Millisecond) {
			return now.Kind, now.State, context.Cause(ctx)
		}
	}
}

// talk makes a request with a JSON body, if there is one, and reads the JSON of a good answer.
func talk(ctx context.Context, client *http.Client, method, url string, in, out any) (status int, err error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return 0, err
		}
		body = strings.NewReader(string(text))
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	err = errors.Join(err, res.Body.Close())
	if err != nil {
		return 0, err
	}
	if res.StatusCode > 299 {
		return res.StatusCode, fmt.Errorf("demo: %s %s answered %d: %.200s", method, url, res.StatusCode, text)
	}
	return res.StatusCode, json.Unmarshal(text, out)
}
