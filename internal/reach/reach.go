// Package reach says which of the jobs that a filter selects are within a viewer's reach: to look at, or to act on. It is the one home of
// that rule for the API and the dashboard.
//
// No job passes through here; filters do, before a store is asked. What comes out selects no job of a queue on which the viewer lacks the
// role, and does not tell of secrets what no page would show: who may not see them searches in what he is shown.
package reach

import (
	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/redact"
)

// Look returns a filter that selects what f does of the queues that the viewer sees. some is false if nothing is left of it; a store
// must then not be asked. Texts, values and errors are looked for in what the viewer is shown, unless he is an admin of
// all that the filter can select; a condition on the value of a secret is refused for all others, since it would find nothing.
// The error is an [*access.Refusal].
func Look(v *access.Viewer, f bellhop.Filter) (_ bellhop.Filter, some bool, err error) {
	f, some = v.Narrow(f)
	return judged(v, f, some)
}

// Act is [Look] for an action on what f selects: of the queues on which the viewer has the role that the action takes. A queue that the
// filter names, that he sees, and on which he does not have the role, is refused: who names it means it. One that he does not see is
// left out, as if it did not exist.
func Act(v *access.Viewer, action bellhop.Action, f bellhop.Filter) (_ bellhop.Filter, some bool, err error) {
	need := access.RoleFor(action)
	if err := v.AllowAny(need); err != nil {
		return f, false, err
	}
	for _, queue := range f.Queues {
		if !v.Sees(queue) {
			continue
		}
		if err := v.Allow(need, queue); err != nil {
			return f, false, err
		}
	}
	f, some = v.NarrowTo(need, f)
	return judged(v, f, some)
}

// judged has a filter that is within reach judge jobs by what the viewer may see of them.
func judged(v *access.Viewer, f bellhop.Filter, some bool) (bellhop.Filter, bool, error) {
	if !some || v.Over(&f) >= access.Admin {
		return f, some, nil
	}
	if redact.Asks(&f) {
		return f, false, v.AllowOver(access.Admin, &f)
	}
	f.Seen = redact.Sight
	return f, true, nil
}
