package web

import "github.com/gobellhop/bellhop/access"

// mayAct and mayDelete report whether the viewer may do so somewhere: what decides whether a list shows the buttons.
func (v *view) mayAct() bool    { return v.viewer.Any() >= access.Act }
func (v *view) mayDelete() bool { return v.viewer.Any() >= access.Admin }
