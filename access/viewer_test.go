package access_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
)

var roles = []access.Role{access.None, access.Read, access.Act, access.Admin}

func TestRoleNames(t *testing.T) {
	for i, r := range roles {
		text, err := r.MarshalText()
		if err != nil || string(text) != r.String() || string(text) != []string{"none", "read", "act", "admin"}[i] {
			t.Errorf("role %d is %q and %q, %v", i, text, r, err)
		}
		var back access.Role
		if err := back.UnmarshalText(text); err != nil || back != r {
			t.Errorf("%s comes back as %v, %v", text, back, err)
		}
		if i > 0 && r <= roles[i-1] {
			t.Errorf("%v is not more than %v", r, roles[i-1])
		}
	}
	for _, bad := range []string{"", "Admin", "write", " read"} {
		if _, err := access.ParseRole(bad); err == nil {
			t.Errorf("%q is a role", bad)
		}
	}
	if text, err := access.Role(9).MarshalText(); err == nil {
		t.Errorf("role 9 is %q", text)
	}
}

// viewers draws viewers, nil among them.
var viewers = rapid.Custom(func(t *rapid.T) *access.Viewer {
	if rapid.IntRange(0, 9).Draw(t, "nobody") == 0 {
		return nil
	}
	return &access.Viewer{
		Name: "anna", Role: rapid.SampledFrom(roles).Draw(t, "role"),
		Queues: rapid.MapOfN(queues, rapid.SampledFrom(roles), 0, 4).Draw(t, "queues"),
	}
})

var queues = rapid.SampledFrom([]string{"a", "b", "c", "d", "foo/bar.baz"})

// TestRolesByQueue compares the answers of a viewer with what they mean, queue by queue.
func TestRolesByQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := viewers.Draw(t, "viewer")
		least, greatest := access.Admin, access.None
		for _, q := range []string{"a", "b", "c", "d", "foo/bar.baz", "one that nobody names"} {
			on := v.On(q)
			least, greatest = min(least, on), max(greatest, on)
			want := access.None
			if v != nil {
				want = v.Role
				if own, has := v.Queues[q]; has {
					want = own
				}
			}
			if on != want || v.Sees(q) != (want >= access.Read) {
				t.Fatalf("the role on %s is %v, want %v", q, on, want)
			}
			for _, need := range roles {
				err := v.Allow(need, q)
				var refusal *access.Refusal
				if (err == nil) != (on >= need) || err != nil && (!errors.As(err, &refusal) || refusal.Status() != 403 || refusal.Text == "") {
					t.Fatalf("with %v on %s, %v is answered %v", on, q, need, err)
				}
			}
		}
		if v.All() != least || v.Any() != greatest || v.SeesAll() != (least >= access.Read) {
			t.Fatalf("all %v and any %v, want %v and %v", v.All(), v.Any(), least, greatest)
		}
		for _, need := range roles {
			if (v.AllowAll(need) == nil) != (least >= need) || (v.AllowAny(need) == nil) != (greatest >= need) {
				t.Fatalf("%v on all or any is answered %v, %v", need, v.AllowAll(need), v.AllowAny(need))
			}
		}
	})
}

// TestNarrowHidesAndKeeps: a narrowed filter selects exactly the jobs that the filter selects and on whose queues the viewer has the role, and Over tells the
// least role on the queues that a filter can select.
func TestNarrowHidesAndKeeps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := viewers.Draw(t, "viewer")
		f := bellhop.Filter{
			Kinds: []string{"k"}, Queues: rapid.SliceOfN(queues, 0, 3).Draw(t, "named"), NotQueues: rapid.SliceOfN(queues, 0, 2).Draw(t, "not"),
		}
		need := rapid.SampledFrom([]access.Role{access.Read, access.Act, access.Admin}).Draw(t, "need")
		before, not := slices.Clone(f.Queues), slices.Clone(f.NotQueues)
		narrow, some := v.NarrowTo(need, f)
		if some && v.Over(&narrow) < need {
			t.Fatalf("over what is left the role is %v, want %v", v.Over(&narrow), need)
		}
		if (v.AllowOver(need, &f) == nil) != (v.Over(&f) >= need) {
			t.Fatalf("%v over %+v is answered %v", need, f, v.AllowOver(need, &f))
		}
		if !slices.Equal(f.Queues, before) || !slices.Equal(f.NotQueues, not) {
			t.Fatalf("the filter itself was changed to %+v", f)
		}
		if some && narrow.IsZero() {
			t.Fatal("a condition was lost")
		}
		for _, q := range []string{"a", "b", "c", "d", "foo/bar.baz", "another"} {
			j, p := &bellhop.Job{Kind: "k", Queue: q}, &bellhop.Place{State: bellhop.StateReady}
			got := some && narrow.Matches(j, p, nil)
			if want := f.Matches(j, p, nil) && v.On(q) >= need; got != want {
				t.Fatalf("a job of %s is selected: %v, want %v (%+v)", q, got, want, narrow)
			}
			if f.Matches(j, p, nil) && v.On(q) < v.Over(&f) {
				t.Fatalf("the role on %s is %v, and over all of them %v", q, v.On(q), v.Over(&f))
			}
		}
	})
}

// TestProcessesOfQueues: of processes and their queues a viewer is told what he sees, and the list itself stays as it is.
func TestProcessesOfQueues(t *testing.T) {
	all := []bellhop.ProcessStatus{
		{Process: bellhop.Process{Name: "both", Queues: []string{"mail", "billing"}, Kinds: []string{"k"}, Slots: 9, Busy: 3}, Running: 4},
		{Process: bellhop.Process{Name: "hidden", Queues: []string{"billing"}}},
		{Process: bellhop.Process{Name: "none"}},
	}
	for want, v := range map[string]*access.Viewer{
		"both[mail billing] hidden[billing] none[] ": {Role: access.Read},
		"both[mail] ":                    {Role: access.Read, Queues: map[string]access.Role{"billing": access.None}},
		"":                               nil,
		"both[billing] hidden[billing] ": {Queues: map[string]access.Role{"billing": access.Act}},
	} {
		got := ""
		for _, p := range v.Processes(all) {
			got += fmt.Sprint(p.Name, p.Queues, " ")
			if told := p.Slots+p.Busy+p.Running+len(p.Kinds) > 0; told != (p.Name == "both" && len(p.Queues) == 2) {
				t.Errorf("%+v is told of %+v", v, p)
			}
		}
		if got != want {
			t.Errorf("%+v sees %q, want %q", v, got, want)
		}
	}
	if len(all[0].Queues) != 2 || all[0].Queues[1] != "billing" {
		t.Errorf("the list was changed to %v", all)
	}
}

func TestContext(t *testing.T) {
	if v := access.From(t.Context()); v != nil || v.Any() != access.None {
		t.Errorf("an empty context carries %v", v)
	}
	v := &access.Viewer{Name: "anna", Role: access.Act}
	if got := access.From(access.Into(t.Context(), v)); got != v {
		t.Errorf("the context carries %v", got)
	}
}

func ExampleViewer() {
	v := &access.Viewer{Name: "anna", Role: access.Read, Queues: map[string]access.Role{"mail": access.Act}}
	fmt.Println(v.On("mail"), v.On("billing"), v.All(), v.Allow(access.Act, "billing"))
	// Output: act read read anna does not have the role act on the queue billing
}
