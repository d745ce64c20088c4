package access

import (
	"context"
	"maps"
	"slices"

	"github.com/gobellhop/bellhop"
)

// Viewer is somebody who has come in: a person or a program. A nil Viewer may do nothing.
type Viewer struct {
	// Name is who it is, for the audit and the pages: "anna".
	Name string
	// Role is what the viewer may do on every queue that Queues does not name.
	Role Role
	// Queues are the roles on single queues, greater or lesser than Role. Default nil: Role holds on all.
	Queues map[string]Role
	// Remote is the address of the client. [Door.Admit] sets it.
	Remote string

	readOnly bool // the door lets nobody change anything
}

// On returns the viewer's role for the things of a queue: its jobs, its pause, its concurrency.
func (v *Viewer) On(queue string) Role {
	if v == nil {
		return None
	}
	role, named := v.Queues[queue]
	if !named {
		role = v.Role
	}
	return v.cap(role)
}

// All returns the least role that the viewer has on any queue: what counts where the whole store is concerned.
func (v *Viewer) All() Role {
	if v == nil {
		return None
	}
	least := v.Role
	for _, role := range v.Queues {
		least = min(least, role)
	}
	return v.cap(least)
}

// Any returns the greatest role that the viewer has on some queue: what decides whether a page is worth showing at all.
func (v *Viewer) Any() Role {
	if v == nil {
		return None
	}
	greatest := v.Role
	for _, role := range v.Queues {
		greatest = max(greatest, role)
	}
	return v.cap(greatest)
}

func (v *Viewer) cap(role Role) Role {
	if v.readOnly {
		return min(role, Read)
	}
	return min(role, Admin)
}

// Allow returns nil if the viewer has at least the role on the queue, else a [*Refusal]. Of a queue that the viewer does not
// see, callers tell no more than of one that does not exist.
func (v *Viewer) Allow(need Role, queue string) error {
	if v.On(queue) >= need {
		return nil
	}
	return v.refuse(need, "on the queue "+bellhop.CleanText(queue, 128))
}

// AllowAll returns nil if the viewer has at least the role on all queues, else a [*Refusal].
func (v *Viewer) AllowAll(need Role) error {
	if v.All() >= need {
		return nil
	}
	return v.refuse(need, "on all queues")
}

// AllowAny returns nil if the viewer has at least the role on some queue, else a [*Refusal].
func (v *Viewer) AllowAny(need Role) error {
	if v.Any() >= need {
		return nil
	}
	return v.refuse(need, "on some queue")
}

func (v *Viewer) refuse(need Role, where string) error {
	if v != nil && v.readOnly && need > Read {
		return refuse(ReadOnly, "this server changes nothing and shows no secrets: it is read-only")
	}
	name := "a stranger"
	if v != nil {
		name = bellhop.CleanText(v.Name, 64)
	}
	refusal := refuse(Forbidden, "%s does not have the role %s %s", name, need, where)
	if v != nil {
		refusal.Who = v.Name
	}
	return refusal
}

// Sees reports whether the viewer may look at the things of a queue.
func (v *Viewer) Sees(queue string) bool { return v.On(queue) >= Read }

// SeesAll reports whether no queue is hidden from the viewer, so that nothing needs to be left out for him.
func (v *Viewer) SeesAll() bool { return v.All() >= Read }

// Narrow is [Viewer.NarrowTo] for looking: it leaves out the jobs of queues on which the viewer does not have the role Read.
func (v *Viewer) Narrow(f bellhop.Filter) (narrow bellhop.Filter, some bool) {
	return v.NarrowTo(Read, f)
}

// NarrowTo returns a filter that selects what f does, without the jobs of queues on which the viewer does not have the role.
// some is false if nothing is left of it; a store must then not be asked, since a filter without queues selects all.
func (v *Viewer) NarrowTo(need Role, f bellhop.Filter) (narrow bellhop.Filter, some bool) {
	lacks := func(queue string) bool { return v.On(queue) < need }
	switch {
	case v.All() >= need:
		return f, true
	case len(f.Queues) > 0:
		f.Queues = slices.DeleteFunc(slices.Clone(f.Queues), lacks)
	case v == nil || v.cap(v.Role) < need:
		f.Queues = v.own(func(queue string) bool { return !lacks(queue) && !slices.Contains(f.NotQueues, queue) })
	default:
		f.NotQueues = slices.Concat(f.NotQueues, v.own(lacks))
		return f, true
	}
	return f, len(f.Queues) > 0
}

// Over returns the least role that the viewer has on any queue whose jobs a filter can select: what counts where all of them are
// concerned, whatever queues there are.
func (v *Viewer) Over(f *bellhop.Filter) Role {
	if v == nil {
		return None
	}
	least := v.Role
	if len(f.Queues) > 0 {
		least = Admin
		for _, queue := range f.Queues {
			least = min(least, v.On(queue))
		}
	} else {
		for queue, role := range v.Queues {
			if !slices.Contains(f.NotQueues, queue) {
				least = min(least, role)
			}
		}
	}
	return v.cap(least)
}

// AllowOver returns nil if the viewer has at least the role on every queue whose jobs a filter can select, else a [*Refusal].
func (v *Viewer) AllowOver(need Role, f *bellhop.Filter) error {
	if v.Over(f) >= need {
		return nil
	}
	return v.refuse(need, "on every queue that is asked for: name queues on which it has that")
}

// Visible returns the queues, among those that the viewer has a role of his own on, that he may look at, sorted.
func (v *Viewer) Visible() []string { return v.own(v.Sees) }

// own returns those queues on which the viewer has a role of his own, sorted.
func (v *Viewer) own(which func(queue string) bool) (list []string) {
	if v == nil {
		return nil
	}
	for _, queue := range slices.Sorted(maps.Keys(v.Queues)) {
		if which(queue) {
			list = append(list, queue)
		}
	}
	return list
}

// Processes returns those processes that work a queue that the viewer sees, without the queues that he does not see. Of a process that
// works hidden queues too he is not told which kinds it knows, how many slots it has, and how many jobs it runs, since that would
// tell of those queues: Kinds, Slots, Busy and Running are zero.
func (v *Viewer) Processes(all []bellhop.ProcessStatus) []bellhop.ProcessStatus {
	if v.SeesAll() {
		return all
	}
	var seen []bellhop.ProcessStatus
	for _, p := range all {
		works := len(p.Queues)
		p.Queues = slices.DeleteFunc(slices.Clone(p.Queues), func(queue string) bool { return !v.Sees(queue) })
		if len(p.Queues) < works {
			p.Kinds, p.Slots, p.Busy, p.Running = nil, 0, 0, 0
		}
		if len(p.Queues) > 0 {
			seen = append(seen, p)
		}
	}
	return seen
}

// contextKey is the key of the viewer in a context.
type contextKey struct{}

// Into returns a context that carries the viewer.
func Into(ctx context.Context, v *Viewer) context.Context {
	return context.WithValue(ctx, contextKey{}, v)
}

// From returns the viewer that a context carries; nil, who may do nothing, if it carries none.
func From(ctx context.Context) *Viewer {
	v, _ := ctx.Value(contextKey{}).(*Viewer)
	return v
}
