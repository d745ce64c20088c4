package demo

import (
	"bytes"
	"html/template"
	"net/http"
)

// product is something the shop sells.
type product struct {
	Name  string
	Cents int64
}

// Price returns the price for people.
func (p product) Price() string { return Order{Amount: p.Cents}.Price() }

var goods = []product{
	{"Luggage tag", 1900},
	{"Travel pillow", 3450},
	{"Cabin trunk", 24900},
}

func priceOf(item string) (cents int64, ok bool) {
	for _, p := range goods {
		if p.Name == item {
			return p.Cents, true
		}
	}
	return 0, false
}

const pageTop = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{{block "refresh" .}}{{end}}
<title>{{block "title" .}}{{end}}</title>
<style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 34rem; margin: 3rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem; margin-bottom: .2rem }
.quiet { opacity: .7 }
.state { display: inline-block; padding: .1rem .7rem; border-radius: 1rem; color: #fff; background: #666 }
.charging { background: #9a6200 } .paid, .joined { background: #1c7a3d } .failed { background: #b3261e }
table { border-collapse: collapse; width: 100% } td { padding: .25rem .5rem .25rem 0 }
form { display: flex; gap: .5rem; flex-wrap: wrap; margin: 1rem 0 }
input, select, button { font: inherit; padding: .3rem .6rem }
</style>
</head>
<body>
{{block "body" .}}{{end}}
{{block "foot" .}}{{end}}
</body>
</html>
`

var orderPage = page(`
{{define "refresh"}}{{if eq .Order.State "charging"}}<meta http-equiv="refresh" content="1; url={{.Self}}">{{end}}{{end}}
{{define "foot"}}<p class="quiet">This shop: {{with .Form.Title}}{{.}}{{else}}everything inline{{end}}.</p>{{end}}
{{define "title"}}{{.Order.State}}: {{.Order.ID}}{{end}}
{{define "body"}}
<h1>{{if .Order.Signup}}Welcome{{else}}Your order{{end}}</h1>
<p><span class="state {{.Order.State}}" data-order="{{.Order.ID}}" role="status">{{.Order.State}}</span></p>
<table>
{{if .Order.Item}}<tr><td>{{.Order.Item}}</td><td>{{.Order.Price}}</td></tr>{{end}}
<tr><td>For</td><td>{{.Order.Email}}</td></tr>
<tr><td>Number</td><td>{{.Order.ID}}</td></tr>
</table>
{{if eq .Order.State "charging"}}<p>We have your order and are charging your card. This page follows by itself.</p>{{end}}
<p><a href="{{.Home}}">Back to the shop</a></p>
{{end}}`)

var frontPage = page(`
{{define "foot"}}<p class="quiet">This shop: {{with .Form.Title}}{{.}}{{else}}everything inline{{end}}.</p>{{end}}
{{define "title"}}Bellhop demo shop{{end}}
{{define "body"}}
<h1>Bellhop demo shop</h1>
<p class="quiet">Nothing here is real but the waiting.</p>
<form method="post" action="checkout">
<select name="item" aria-label="Item">{{range .Goods}}<option value="{{.Name}}">{{.Name}}, {{.Price}}</option>{{end}}</select>
<input type="email" name="email" value="guest@example.com" aria-label="Mail address" required>
<button>Buy</button>
</form>
<form method="post" action="signup">
<input type="email" name="email" value="guest@example.com" aria-label="Mail address" required>
<button>Sign up</button>
</form>
{{if .Orders}}<h2>Latest orders</h2>
<table>
{{range .Orders}}<tr><td><a href="orders/{{.ID}}">{{printf "%.12s" .ID}}…</a></td><td>{{if .Item}}{{.Item}}{{else}}Signup{{end}}</td><td><span class="state {{.State}}">{{.State}}</span></td></tr>
{{end}}</table>{{end}}
{{end}}`)

func page(blocks string) *template.Template {
	return template.Must(template.Must(template.New("page").Parse(pageTop)).Parse(blocks))
}

// writePage renders before it writes, so that a page is whole or an error.
func writePage(w http.ResponseWriter, code int, t *template.Template, data any) {
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		problem(w, http.StatusInternalServerError, err.Error(), Order{}, "")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = b.WriteTo(w) // if the customer is gone, nobody is there to be told
}
