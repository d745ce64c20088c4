package reach_test

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/reach"
)

var (
	names   = []string{"a", "b", "c", "never-named"}
	roles   = rapid.SampledFrom([]access.Role{access.None, access.Read, access.Act, access.Admin})
	viewers = rapid.Custom(func(t *rapid.T) *access.Viewer {
		return &access.Viewer{
			Name: "anna", Role: roles.Draw(t, "role"),
			Queues: rapid.MapOfN(rapid.SampledFrom(names[:3]), roles, 0, 3).Draw(t, "queues"),
		}
	})
	filters = rapid.Custom(func(t *rapid.T) bellhop.Filter {
		some := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 2, rapid.ID)
		return bellhop.Filter{Kinds: []string{"k"}, Queues: some.Draw(t, "named"), NotQueues: some.Draw(t, "not")}
	})
)

func selects(f *bellhop.Filter, some bool, queue string) bool {
	return some && f.Matches(&bellhop.Job{Kind: "k", Queue: queue, Args: []byte("{}")}, &bellhop.Place{State: bellhop.StateDead}, nil)
}

// TestActReachesWhereTheRoleIs: an action by filter touches exactly the jobs of queues on which the viewer has the role, and is refused if a queue is
// named on which, as he can see, he does not.
func TestActReachesWhereTheRoleIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, f := viewers.Draw(t, "viewer"), filters.Draw(t, "filter")
		action := rapid.SampledFrom([]bellhop.Action{bellhop.ActRetry, bellhop.ActDelete}).Draw(t, "action")
		need := access.RoleFor(action)
		got, some, err := reach.Act(v, action, f)
		refused := v.Any() < need || slices.ContainsFunc(f.Queues, func(q string) bool { return v.Sees(q) && v.On(q) < need })
		if (err != nil) != refused || err != nil && !errors.As(err, new(*access.Refusal)) {
			t.Fatalf("refused: %v, want %v", err, refused)
		}
		for _, queue := range names {
			if want := err == nil && selects(&f, true, queue) && v.On(queue) >= need; selects(&got, some && err == nil, queue) != want {
				t.Fatalf("a job of %s is reached: %v, want %v (%+v)", queue, !want, want, got)
			}
		}
	})
}

// TestLookTellsNoSecrets: whatever a viewer searches for, a job's secret decides nothing unless he is an admin of its queue.
func TestLookTellsNoSecrets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, f := viewers.Draw(t, "viewer"), filters.Draw(t, "filter")
		switch rapid.SampledFrom([]string{"text", "value", "error", "secret"}).Draw(t, "by") {
		case "text":
			f.Text = rapid.SampledFrom([]string{"hunter2", "hunter", `rd":"h`, "anna", "redacted"}).Draw(t, "text")
		case "value":
			f.Args = []bellhop.ArgMatch{{Path: rapid.SampledFrom([]string{"value", "list.0.value", "user"}).Draw(t, "path"), Value: "hunter2"}}
		case "error":
			f.Error = rapid.SampledFrom([]string{"hunter2", "=hunter", "failed", "login"}).Draw(t, "error")
		case "secret":
			f.Args = []bellhop.ArgMatch{{Path: "password", Value: "hunter2"}}
		}
		got, some, err := reach.Look(v, f)
		if err != nil || !some {
			return
		}
		matches := func(queue, secret string) bool {
			args := `{"user":"anna","password":"` + secret + `","name":"token","value":"` + secret + `","list":[{"key":"pin","value":"` + secret + `"}]}`
			failure := &bellhop.Failure{Class: "e", Message: "login with password=" + secret + " failed"}
			return got.Matches(&bellhop.Job{Kind: "k", Queue: queue, Args: []byte(args)}, &bellhop.Place{State: bellhop.StateDead}, &bellhop.Attempt{Failure: failure})
		}
		for _, queue := range names {
			right, wrong := matches(queue, "hunter2"), matches(queue, "x")
			if (right || wrong) && !v.Sees(queue) {
				t.Fatalf("a job of %s, which is hidden, is found", queue)
			}
			if right != wrong && v.On(queue) < access.Admin {
				t.Fatalf("a guess about the secret of a job of %s is answered %v and %v", queue, right, wrong)
			}
		}
	})
}

// TestAdminsSearchInEverything: what a viewer may see he also finds.
func TestAdminsSearchInEverything(t *testing.T) {
	job := &bellhop.Job{Queue: "a", Args: []byte(`{"password":"hunter2"}`)}
	for name, c := range map[string]struct {
		v     access.Viewer
		f     bellhop.Filter
		finds bool
	}{
		"admin of all":                {access.Viewer{Role: access.Admin}, bellhop.Filter{Text: "hunter2"}, true},
		"admin of all, a secret path": {access.Viewer{Role: access.Admin}, bellhop.Filter{Args: []bellhop.ArgMatch{{Path: "password", Value: "hunter2"}}}, true},
		"admin of that queue":         {access.Viewer{Role: access.Read, Queues: map[string]access.Role{"a": access.Admin}}, bellhop.Filter{Queues: []string{"a"}, Text: "hunter2"}, true},
		"admin of one, asks for all":  {access.Viewer{Role: access.Read, Queues: map[string]access.Role{"a": access.Admin}}, bellhop.Filter{Text: "hunter2"}, false},
		"sees that queue alone":       {access.Viewer{Queues: map[string]access.Role{"a": access.Admin}}, bellhop.Filter{Text: "hunter2"}, true},
		"reader":                      {access.Viewer{Role: access.Read}, bellhop.Filter{Text: "hunter2"}, false},
		"reader, the name":            {access.Viewer{Role: access.Read}, bellhop.Filter{Text: "password"}, true},
	} {
		got, some, err := reach.Look(&c.v, c.f)
		if finds := err == nil && some && got.Matches(job, &bellhop.Place{}, nil); finds != c.finds {
			t.Errorf("%s: found %v, want %v (%v)", name, finds, c.finds, err)
		}
	}
}
