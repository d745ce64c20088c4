package web

import (
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
)

// aboutData is what the page about this installation shows.
type aboutData struct {
	Version, Go   string
	Capabilities  bellhop.Capabilities
	Schema        string // what version the store has; empty if stores of its kind have none
	Skew          time.Duration
	Findings      []bellhop.Finding
	Look, Every   time.Duration
	Watching      int64
	Title, Prefix string
	Role          access.Role
	Single        []queueRole
}

// queueRole is a role of the viewer on a single queue.
type queueRole struct {
	Queue string
	Role  access.Role
}

// about tells what runs here, and what the store thinks of itself. Findings name queues, so they are for those who see all.
func (s *Server) about(v *view) (*page, error) {
	data := aboutData{
		Version: version(), Go: runtime.Version(), Capabilities: s.client.Store().Capabilities(), Title: s.opts.Title, Prefix: s.opts.Prefix,
		Watching: s.live.streams.Load(), Role: v.viewer.Role,
	}
	if shot := v.snapshot(); shot != nil {
		data.Look, data.Every, data.Skew = shot.took, shot.every, shot.Now.Sub(shot.At)
	}
	for _, queue := range v.viewer.Visible() {
		data.Single = append(data.Single, queueRole{queue, v.viewer.On(queue)})
	}
	if m, ok := bellhop.As[bellhop.Migrator](s.client.Store()); ok {
		have, newest, err := m.Schema(v.Context())
		if err != nil {
			return nil, err
		}
		if data.Schema = fmt.Sprintf("version %d, the newest", have); have != newest {
			data.Schema = fmt.Sprintf("version %d, and this program knows %d", have, newest)
		}
	}
	if self, ok := bellhop.As[bellhop.Diagnoser](s.client.Store()); ok && v.viewer.All() >= access.Read {
		found, err := self.Diagnose(v.Context())
		if err != nil {
			found = append(found, bellhop.Finding{Level: levelProblem, Subject: "store", Detail: "it could not look at itself", Advice: "bellhop doctor tells more"})
			s.log.Warn("the store could not look at itself", bellhop.AttrError, err)
		}
		data.Findings = found
	}
	return &page{name: "about", title: "About", nav: "/about", data: data, status: http.StatusOK}, nil
}

// version is that of this module in the program it is part of: "dev" if it was not built from a release.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	const module = "github.com/gobellhop/bellhop"
	for _, m := range append([]*debug.Module{&info.Main}, info.Deps...) {
		if m.Path == module && m.Version != "" && m.Version != "(devel)" {
			return m.Version
		}
	}
	return "dev"
}
