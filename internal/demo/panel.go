package demo

import (
	"net/http"
)

// serviceView is a service as the panel shows it.
type serviceView struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Mode    string `json:"mode"`
	Latency string `json:"latency"`
	Counts  Counts `json:"counts"`
}

// Panel returns a handler with the switches of the world:
//
//	GET  /                  all services with their modes and counts, as a page or as JSON
//	POST /{service}/{mode}  switches a service, such as /payment/down; 204, or back to the page for those who accept text/html
func (w *World) Panel() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", w.panelPage)
	mux.HandleFunc("POST /{service}/{mode}", w.panelSwitch)
	return http.NewCrossOriginProtection().Handler(mux)
}

func (w *World) panelPage(rw http.ResponseWriter, r *http.Request) {
	var views []serviceView
	for _, s := range w.Services() {
		views = append(views, serviceView{s.name, s.Addr(), s.Mode().String(), s.latency.String(), s.Counts()})
	}
	rw.Header().Set("Cache-Control", "no-store")
	rw.Header().Set("Vary", "Accept")
	if wantsPage(r) {
		writePage(rw, http.StatusOK, worldPage, map[string]any{"Services": views, "Modes": modeNames})
		return
	}
	answer(rw, http.StatusOK, views)
}

func (w *World) panelSwitch(rw http.ResponseWriter, r *http.Request) {
	mode, err := ParseMode(r.PathValue("mode"))
	if err != nil {
		problem(rw, http.StatusNotFound, err.Error(), Order{}, "")
		return
	}
	for _, s := range w.Services() {
		if s.name != r.PathValue("service") {
			continue
		}
		if err := s.Set(mode); err != nil {
			problem(rw, http.StatusInternalServerError, err.Error(), Order{}, "")
			return
		}
		if wantsPage(r) {
			rw.Header().Set("Location", "..")
			rw.WriteHeader(http.StatusSeeOther)
			return
		}
		rw.WriteHeader(http.StatusNoContent)
		return
	}
	problem(rw, http.StatusNotFound, "no such service: use payment, mail, list, chat or analytics", Order{}, "")
}

var worldPage = page(`
{{define "title"}}The outside world{{end}}
{{define "body"}}
<h1>The outside world</h1>
<p class="quiet">What the services counted themselves, and how well they are.</p>
{{$modes := .Modes}}
{{range .Services}}{{$service := .}}
<h2>{{.Name}} <span class="state {{if eq .Mode "normal"}}paid{{else if eq .Mode "slow"}}charging{{else}}failed{{end}}">{{.Mode}}</span></h2>
<table><tr><td>{{.Counts.Calls}} calls</td><td>{{.Counts.Effects}} done</td><td>{{.Counts.Duplicates}} twice</td><td>{{.Counts.Replays}} replayed</td><td>{{.Counts.Refused}} refused</td><td>{{.Counts.Cut}} cut off</td></tr></table>
<form method="post">{{range $modes}}<button formaction="{{$service.Name}}/{{.}}"{{if eq . $service.Mode}} disabled{{end}}>{{.}}</button>{{end}}</form>
{{end}}
{{end}}`)
