package web

import (
	"maps"
	"slices"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
)

// roleFor is what an action on a job takes on the job's queue.
func roleFor(a bellhop.Action) access.Role {
	if a == bellhop.ActDelete {
		return access.Admin
	}
	return access.Act
}

// mayAct and mayDelete report whether the viewer may do so somewhere: what decides whether a list shows the buttons.
func (v *view) mayAct() bool    { return v.viewer.Any() >= access.Act }
func (v *view) mayDelete() bool { return v.viewer.Any() >= access.Admin }

// narrowTo returns a filter that selects what f does, without the jobs of queues on which the viewer does not have the role. some is
// false if nothing is left of it; a store must then not be asked.
func (v *view) narrowTo(role access.Role, f bellhop.Filter) (narrow bellhop.Filter, some bool) {
	if v.viewer.All() >= role {
		return f, true
	}
	lacks := func(queue string) bool { return v.viewer.On(queue) < role }
	if len(f.Queues) > 0 {
		f.Queues = slices.DeleteFunc(slices.Clone(f.Queues), lacks)
		return f, len(f.Queues) > 0
	}
	const unnamed = "\x00" // no queue has this name, so that it has the role of all that are not named
	named := slices.Sorted(maps.Keys(v.viewer.Queues))
	if !lacks(unnamed) {
		f.NotQueues = slices.Concat(f.NotQueues, slices.DeleteFunc(named, func(queue string) bool { return !lacks(queue) }))
		return f, true
	}
	f.Queues = slices.DeleteFunc(named, func(queue string) bool { return lacks(queue) || slices.Contains(f.NotQueues, queue) })
	return f, len(f.Queues) > 0
}
