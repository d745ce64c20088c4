package web

import (
	"errors"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
)

// newDoor makes the door of the options.
func newDoor(opts Options) (*access.Door, error) {
	door := opts.Door
	if door == nil {
		return checkedDoor(&access.Door{Authorize: opts.Authorize, Hosts: opts.Hosts, ReadOnly: opts.ReadOnly})
	}
	if opts.Authorize != nil || len(opts.Hosts) > 0 || opts.ReadOnly {
		return nil, &OptionError{"Door", "it has settings of its own: give them there, and leave Authorize, Hosts and ReadOnly empty"}
	}
	return checkedDoor(door)
}

func checkedDoor(door *access.Door) (*access.Door, error) {
	err := door.Check()
	var bad *access.SettingError
	if errors.As(err, &bad) {
		return nil, &OptionError{bad.Setting, bad.Reason}
	}
	return door, err
}

// admit lets a visitor in, or says why not. It comes before everything else, so that strangers learn nothing.
func (s *Server) admit(v *view) error {
	viewer, refusal := s.door.Admit(v.Request)
	if refusal != nil {
		if refusal.Err != nil {
			s.log.Error("it could not be found out who a visitor is", bellhop.AttrError, refusal.Err)
		}
		return refusal
	}
	v.viewer = viewer
	v.Request = v.WithContext(access.Into(v.Context(), viewer))
	return nil
}

// refusalPage is what a refusal looks like.
func refusalPage(r *access.Refusal) *problem {
	p := &problem{status: r.Status(), title: "You may not do this", detail: r.Text}
	switch r.Cause {
	case access.Stranger:
		p.title = "Who are you?"
		p.advice = "The program that shows this dashboard says who may come in: web.Options.Authorize, or the flags of bellhop serve and bellhop ui."
	case access.WrongHost:
		p.title, p.advice = "This server has another name", "Name it among the hosts: web.Options.Hosts, or --host."
	case access.CrossOrigin:
		p.title = "Another site asked for this"
	case access.TooManyRequests, access.TooManyLogins:
		p.title = "Too often"
	case access.Broken:
		p.title = "It is not known who you are"
	case access.ReadOnly:
		p.title = "Nothing can be changed here"
	}
	return p
}

// need returns nil if the viewer has at least the role on a queue; on all queues if it is empty. Every action asks, for the queue
// that it is about: that a button was shown proves nothing.
func (v *view) need(role access.Role, queue string) error {
	if queue == "" {
		return v.viewer.AllowAll(role)
	}
	if !v.viewer.Sees(queue) { // of what he may not see, nobody learns that it is there
		return notFound("There is no such thing, or it is not for you.")
	}
	return v.viewer.Allow(role, queue)
}
