package web

import (
	"encoding/base64"
	"encoding/json"
	"net/http"

	"github.com/gobellhop/bellhop"
)

// flash is what the page after an action says about it, once. It travels in a cookie of this dashboard's paths that lives for
// seconds, so that any process may serve that page.
type flash struct {
	Text string `json:"t"`
	Bad  bool   `json:"b,omitempty"`
}

const flashCookie = "bellhop_said"

func (v *view) setFlash(f *flash) {
	if f.Text == "" {
		return
	}
	f.Text = bellhop.CleanText(f.Text, 1024)
	body, err := json.Marshal(f)
	if err != nil { // a string and a boolean always encode
		panic(err)
	}
	http.SetCookie(v.w, &http.Cookie{
		Name: flashCookie, Value: base64.RawURLEncoding.EncodeToString(body), Path: v.s.opts.Prefix + "/", MaxAge: 15,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: v.TLS != nil,
	})
}

// takeFlash returns what is to be said, and forgets it.
func (v *view) takeFlash() *flash {
	c, err := v.Cookie(flashCookie)
	if err != nil || len(c.Value) > 4096 {
		return nil
	}
	http.SetCookie(v.w, &http.Cookie{Name: flashCookie, Path: v.s.opts.Prefix + "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	body, err := base64.RawURLEncoding.DecodeString(c.Value)
	f := &flash{}
	if err != nil || json.Unmarshal(body, f) != nil {
		return nil
	}
	f.Text = bellhop.CleanText(f.Text, 1024)
	return f
}
