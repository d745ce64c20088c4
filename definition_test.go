package bellhop_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
)

type welcome struct {
	UserID int    `json:"user_id"`
	Name   string `json:"name,omitempty"`
}

var sendWelcome = bellhop.Define[welcome]("mail.welcome", bellhop.Queue("mail"), bellhop.Priority(-1), bellhop.Tags("b", "a"))

func newClient(t *testing.T, opts ...bellhop.Option) *bellhop.Client {
	t.Helper()
	c, err := bellhop.NewClient(memory.New(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// The nearer level wins; tags and metadata add up.
func TestLevels(t *testing.T) {
	ctx := t.Context()
	c := newClient(t, bellhop.Queue("client"), bellhop.Attempts(3), bellhop.Retention(time.Hour), bellhop.Meta("a", "1"))
	r, err := sendWelcome.Enqueue(ctx, c, welcome{UserID: 42}, bellhop.Priority(5), bellhop.Tags("c", "a"),
		bellhop.Meta("b", "2"), bellhop.Timeout(time.Second), bellhop.In(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Get(ctx, r.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := bellhop.Job{
		ID: r.ID, Kind: "mail.welcome", Queue: "mail", Priority: 5, Args: []byte(`{"user_id":42}`), Attempts: 3,
		Timeout: time.Second, Retention: time.Hour, Tags: []string{"a", "b", "c"}, Meta: map[string]string{"a": "1", "b": "2"},
		EnqueuedAt: s.EnqueuedAt,
	}
	if diff := cmp.Diff(want, s.Job); diff != "" {
		t.Error(diff)
	}
	if due := s.Place.Due.Sub(s.EnqueuedAt); r.State != bellhop.StateScheduled || due != time.Minute {
		t.Errorf("%v, due after %v", r.State, due)
	}
	// The definition's settings are not touched by a call's.
	r2, err := sendWelcome.Enqueue(ctx, c, welcome{})
	if err != nil {
		t.Fatal(err)
	}
	if s2, err := c.Get(ctx, r2.ID); err != nil || s2.Priority != -1 || !cmp.Equal(s2.Tags, []string{"a", "b"}) || len(s2.Meta) != 1 {
		t.Errorf("%+v, %v", s2, err)
	}
}

// What is refused is refused before any store sees it, by a line that names the field.
func TestRefusedAtTheDoor(t *testing.T) {
	ctx, c := t.Context(), newClient(t)
	type text struct{ S string }
	texts := bellhop.Define[text]("text")
	for want, enqueue := range map[string]func() error{
		`priority: 10 is out of range`:        call(ctx, c, bellhop.Priority(10)),
		`attempts: 0 is out of range`:         call(ctx, c, bellhop.Attempts(0)),
		`delay: -1s is out of range`:          call(ctx, c, bellhop.In(-time.Second)),
		`run-at: 0001-01-01T00:00:00Z is out`: call(ctx, c, bellhop.At(time.Time{})),
		`run-at: 9999-01-01T00:00:00Z is out`: call(ctx, c, bellhop.At(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))),
		`timeout: -1ns is out of range`:       call(ctx, c, bellhop.Timeout(-1)),
		`retention: 0s is out of range`:       call(ctx, c, bellhop.Retention(0)),
		`queue "a b"`:                         call(ctx, c, bellhop.Queue("a b")),
		`tag ""`:                              call(ctx, c, bellhop.Tags("")),
		`metadata key "x y"`:                  call(ctx, c, bellhop.Meta("x y", "")),
		`metadata: the value of k`:            call(ctx, c, bellhop.Meta("k", "\xff")),
		`metadata: 9001 bytes`:                call(ctx, c, bellhop.Meta("k", strings.Repeat("x", 9000))),
		`unique: the key ""`:                  call(ctx, c, bellhop.UniqueKey("")),
		`want at most 507 together`: func() error {
			_, err := bellhop.Enqueue(ctx, c, bellhop.RawJob(strings.Repeat("k", 128), []byte("1"), bellhop.UniqueKey(strings.Repeat("x", 380))))
			return err
		},
		`the id is zero`:                     call(ctx, c, bellhop.WithID(bellhop.ID{})),
		`OnEvent means nothing for one call`: call(ctx, c, bellhop.OnEvent(func(bellhop.Event) {})),
		`RetryOn means nothing for one call`: call(ctx, c, bellhop.RetryOn(errors.ErrUnsupported, bellhop.Polynomial)),
		`an empty Option{} was given`:        call(ctx, c, bellhop.Option{}),
		`arguments: at .S: `:                 func() error { _, err := texts.Enqueue(ctx, c, text{"a\xff"}); return err },
		`arguments: at .S: NUL`:              func() error { _, err := texts.Enqueue(ctx, c, text{"a\x00"}); return err },
		`arguments: 131080 bytes are more than`: func() error {
			_, err := texts.Enqueue(ctx, c, text{strings.Repeat("x", 128<<10)})
			return err
		},
		`an empty Draft{} was given`: func() error { _, err := bellhop.Enqueue(ctx, c, bellhop.Draft{}); return err },
		`arguments: do not fit the kind mail.welcome`: func() error {
			_, err := bellhop.Enqueue(ctx, c, sendWelcome.Raw([]byte(`{"user_id":"x"}`)))
			return err
		},
		`job 1: arguments: at $.a`: func() error {
			_, err := bellhop.Enqueue(ctx, c, sendWelcome.New(welcome{}), bellhop.RawJob("k", []byte(`{"a":"\u0000"}`)))
			return err
		},
		`kind "": `: func() error { _, err := bellhop.Enqueue(ctx, c, bellhop.RawJob("", []byte(`{}`))); return err },
		`UniqueKey is for one job, and 2 were given`: func() error {
			_, err := sendWelcome.EnqueueMany(ctx, c, make([]welcome, 2), bellhop.UniqueKey("k"))
			return err
		},
		`WithID is for one job, and 2 were given`: func() error {
			_, err := sendWelcome.EnqueueMany(ctx, c, make([]welcome, 2), bellhop.WithID(bellhop.NewID()))
			return err
		},
		`metadata: the value of at-client`: func() error {
			_, err := bellhop.NewClient(memory.New(), bellhop.Meta("at-client", "\x00"))
			return err
		},
		`jobs: 10001 jobs in one call`: func() error {
			_, err := sendWelcome.EnqueueMany(ctx, c, make([]welcome, 10_001))
			return err
		},
	} {
		err := enqueue()
		if err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, bellhop.ErrInvalid) || strings.Contains(err.Error(), "\n") {
			t.Errorf("want %q, got: %v", want, err)
		}
	}
	if n, err := c.Count(ctx, bellhop.Filter{}, 100); n != 0 || err != nil {
		t.Errorf("%d jobs were enqueued, %v", n, err)
	}
}

func call(ctx context.Context, c *bellhop.Client, o bellhop.Option) func() error {
	return func() error { _, err := sendWelcome.Enqueue(ctx, c, welcome{}, o); return err }
}

// A client that was never set, as the field of a struct may be, is no nil Enqueuer and is refused like one. So is no transaction.
func TestNobodyToEnqueueWith(t *testing.T) {
	var client *bellhop.Client
	var bound *bellhop.Bound
	for _, e := range []bellhop.Enqueuer{nil, client, bound} {
		if _, err := sendWelcome.Enqueue(t.Context(), e, welcome{}); !errors.Is(err, bellhop.ErrInvalid) || !strings.Contains(err.Error(), "it is nil") {
			t.Errorf("%T: %v", e, err)
		}
	}
}

func TestDefinePanicsInOneLine(t *testing.T) {
	for want, define := range map[string]func(){
		`kind "a b"`:                        func() { bellhop.Define[int]("a b") },
		`At means nothing for a definition`: func() { bellhop.Define[int]("k", bellhop.At(time.Now())) },
		`Check was given a func(string) error, but the arguments are of type int`: func() {
			bellhop.Define[int]("k", bellhop.Check(func(string) error { return nil }))
		},
		`check: the function is nil`: func() { bellhop.Define[int]("k", bellhop.Check[int](nil)) },
		`metadata: the value of k`:   func() { bellhop.Define[int]("k", bellhop.Meta("k", "\xff")) },
		`the target is nil`:          func() { bellhop.Define[int]("k", bellhop.RetryOn(nil, bellhop.Polynomial)) },
		`the target is a string`:     func() { bellhop.Define[int]("k", bellhop.DiscardOn("text")) },
		`Queue means nothing for a rule`: func() {
			bellhop.Define[int]("k", bellhop.RetryOn(errors.ErrUnsupported, bellhop.Polynomial, bellhop.Queue("q")))
		},
	} {
		func() {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.Contains(text, want) || strings.Contains(text, "\n") {
					t.Errorf("want %q, got %q", want, text)
				}
			}()
			define()
		}()
	}
}

// Arguments come back as the very bytes that went in, whatever their numbers.
func TestRawArgumentsAreKeptByteForByte(t *testing.T) {
	ctx, c := t.Context(), newClient(t)
	args := []byte(` {"big": 9007199254740993, "long": 123456789012345678901234567890.5, "e": 1e400, "z": -0, "t":"\u00e9é<&>"} `)
	r, err := bellhop.Enqueue(ctx, c, bellhop.RawJob("k", args))
	if err != nil {
		t.Fatal(err)
	}
	if s, err := c.Get(ctx, r[0].ID); err != nil || string(s.Args) != string(args) {
		t.Errorf("%s, %v", s.Args, err)
	}
}

func TestUnique(t *testing.T) {
	ctx, c := t.Context(), newClient(t)
	first, err := bellhop.Enqueue(ctx, c,
		bellhop.RawJob("k", []byte(`{"a":1,"b":[1, 2]}`), bellhop.Unique()),
		bellhop.RawJob("k", []byte(`{"b":[1,2], "a":1}`), bellhop.Unique()), // the same
		bellhop.RawJob("k", []byte(`{"b":[2,1],"a":1}`), bellhop.Unique()),  // another
		bellhop.RawJob("j", []byte(`{"a":1,"b":[1,2]}`), bellhop.Unique()),  // another kind
		bellhop.RawJob("k", []byte(`1`), bellhop.UniqueKey("x")),
		bellhop.RawJob("k", []byte(`2`), bellhop.UniqueKey("x")),
	)
	if err != nil {
		t.Fatal(err)
	}
	for i, existing := range []bool{false, true, false, false, false, true} {
		if first[i].Existing != existing {
			t.Errorf("job %d: existing %v", i, first[i].Existing)
		}
	}
	if first[1].ID != first[0].ID || first[5].ID != first[4].ID {
		t.Error("the loser does not learn the winner's id")
	}
}

func TestCheckRefusesArguments(t *testing.T) {
	d := bellhop.Define[welcome]("checked", bellhop.Check(func(w welcome) error {
		if w.UserID == 0 {
			return errors.New("user_id is missing")
		}
		return nil
	}))
	ctx, c := t.Context(), newClient(t)
	for _, draft := range []bellhop.Draft{d.New(welcome{}), d.Raw([]byte(`{}`))} {
		if _, err := bellhop.Enqueue(ctx, c, draft); err == nil || err.Error() != "bellhop: arguments: user_id is missing" {
			t.Error(err)
		}
	}
	if _, err := bellhop.Enqueue(ctx, c, d.Raw([]byte(`{"user_id":1}`))); err != nil {
		t.Error(err)
	}
}
