// Package accesstest has the visitors as whom tests try each route of a handler, so that all handlers are tried as the same ones. Only tests import
// it; no job passes through it.
package accesstest

import (
	"net/http"

	"github.com/gobellhop/bellhop/access"
)

// Stranger is the name of the visitor whom nobody knows.
const Stranger = "stranger"

// Visitor is somebody with a role on the queue mail, and one on all other queues.
type Visitor struct {
	Name       string
	Mail, Rest access.Role
}

// Visitors are those who are tried: a stranger, and each role on mail beside the same, none and admin elsewhere. A short list leaves out those who are
// between the others.
func Visitors(short bool) []Visitor {
	list := []Visitor{{Name: Stranger}}
	for _, r := range []access.Role{access.None, access.Read, access.Act, access.Admin} {
		list = append(list, Visitor{r.String(), r, r}, Visitor{r.String() + " on mail only", r, access.None}, Visitor{"admin but " + r.String() + " on mail", r, access.Admin})
	}
	if short {
		return []Visitor{list[0], list[5], list[6], list[8], list[10], list[12]}
	}
	return list
}

// Authorize lets every request in as the visitor.
func (v Visitor) Authorize(*http.Request) (*access.Viewer, error) {
	if v.Name == Stranger {
		return nil, nil
	}
	return &access.Viewer{Name: v.Name, Role: v.Rest, Queues: map[string]access.Role{"mail": v.Mail}}, nil
}
