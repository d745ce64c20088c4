package demo

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/mail"
	"strings"
	"time"
)

// WebWorkers is how many requests a shop serves at once unless told otherwise.
const WebWorkers = 8

// maxOrder bounds the body of a checkout or signup, in bytes.
const maxOrder = 16 << 10

// ShopConfig sets up a [Shop]. Store and Effects are required.
type ShopConfig struct {
	// Form says what runs inside a request. The zero form runs everything inline.
	Form Form
	// Store keeps the orders and takes over what the form hands off.
	Store Store
	// Effects does what the form keeps inline, and what [Shop.Run] is asked for.
	Effects Effects
	// Workers is how many requests are served at once; the next ones wait in line. Zero means [WebWorkers].
	Workers int
}

// Shop is a small web shop, an http.Handler:
//
//	GET  /             a page with the goods and the latest orders
//	POST /checkout     fields email and item: 201 when paid, 202 when the charge was handed off
//	POST /signup       field email: 201
//	GET  /orders/{id}  the order, as a page that refreshes itself while the order is being charged, or as JSON
//
// Fields come as a form or as JSON. The answer is a page for those who accept text/html, else JSON. When an inline effect
// fails, the answer is 502 and names the effect and the order. Links are relative, so the shop works under a path prefix too.
type Shop struct {
	form    Form
	store   Store
	effects Effects
	admit   chan struct{}
	handler http.Handler
}

// NewShop returns a shop. It refuses a form that names an unknown effect, and one that hands off the charge but keeps an effect
// inline that must follow the charge.
func NewShop(cfg ShopConfig) (*Shop, error) {
	if cfg.Store == nil || cfg.Effects == nil {
		return nil, errors.New("demo: a shop needs a Store and Effects")
	}
	if cfg.Workers < 0 {
		return nil, fmt.Errorf("demo: a shop cannot have %d workers: give 1 or more, or 0 for %d", cfg.Workers, WebWorkers)
	}
	if cfg.Workers == 0 {
		cfg.Workers = WebWorkers
	}
	if err := cfg.Form.check(); err != nil {
		return nil, err
	}
	s := &Shop{form: cfg.Form, store: cfg.Store, effects: cfg.Effects, admit: make(chan struct{}, cfg.Workers)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.front)
	mux.HandleFunc("GET /orders/{id}", s.order)
	mux.HandleFunc("POST /checkout", s.checkout)
	mux.HandleFunc("POST /signup", s.signup)
	s.handler = http.NewCrossOriginProtection().Handler(mux)
	return s, nil
}

// Form returns the shop's form.
func (s *Shop) Form() Form { return s.form }

// ServeHTTP waits for a free web worker and serves the request.
func (s *Shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case s.admit <- struct{}{}:
		defer func() { <-s.admit }()
		s.handler.ServeHTTP(w, r)
	case <-r.Context().Done():
		problem(w, http.StatusServiceUnavailable, "no web worker became free in time", Order{}, "")
	}
}

// Run does one handed-off effect of an order; it is what a job's handler calls. After the charge it saves the order as paid and
// hands off the effects that follow. Running it again repeats the call to the outside world, except for a charge whose order is
// paid already. The error is the one of the service or the store.
func (s *Shop) Run(ctx context.Context, effect, orderID string) error {
	order, err := s.store.Order(ctx, orderID)
	if err != nil {
		return fmt.Errorf("order %s: %w", orderID, err)
	}
	if effect != EffectCharge {
		return Apply(ctx, s.effects, effect, order)
	}
	if order.State != Charging {
		return nil
	}
	if err := s.effects.Charge(ctx, order); err != nil {
		return err
	}
	_, err = s.paid(ctx, order)
	return err
}

// effectError says which inline effect failed.
type effectError struct {
	effect string
	err    error
}

func (e *effectError) Error() string { return e.effect + ": " + e.err.Error() }
func (e *effectError) Unwrap() error { return e.err }

// buy takes a new order as far as the form goes inside the request.
func (s *Shop) buy(ctx context.Context, order Order) (Order, error) {
	order.State = Charging
	if err := s.store.Save(ctx, order, s.form.Later(EffectCharge)); err != nil {
		return order, err
	}
	if s.form.Hands(EffectCharge) {
		return order, nil
	}
	if err := s.effects.Charge(ctx, order); err != nil {
		order.State = Failed
		// The customer may be gone by now; the order must not stay as charging for that.
		if saveErr := s.store.Save(context.WithoutCancel(ctx), order, nil); saveErr != nil {
			err = fmt.Errorf("%w (and the order could not be saved as failed: %w)", err, saveErr)
		}
		return order, &effectError{EffectCharge, err}
	}
	return s.paid(ctx, order)
}

// paid saves an order that was charged, together with what follows, and does what is inline of it. The charge cannot be undone,
// so this is saved even when the customer is gone.
func (s *Shop) paid(ctx context.Context, order Order) (Order, error) {
	order.State, order.Paid = Paid, time.Now()
	return s.finish(ctx, order, EffectMail, EffectSubscribe, EffectChat, EffectTrack)
}

func (s *Shop) finish(ctx context.Context, order Order, effects ...string) (Order, error) {
	if err := s.store.Save(context.WithoutCancel(ctx), order, s.form.Later(effects...)); err != nil {
		return order, err
	}
	for _, effect := range s.form.Inline(effects...) {
		if err := Apply(ctx, s.effects, effect, order); err != nil {
			return order, &effectError{effect, err}
		}
	}
	return order, nil
}

func (s *Shop) checkout(w http.ResponseWriter, r *http.Request) {
	in, code, err := readInput(w, r)
	if err != nil {
		problem(w, code, err.Error(), Order{}, "")
		return
	}
	price, ok := priceOf(in.Item)
	if !ok {
		problem(w, http.StatusBadRequest, fmt.Sprintf("the shop does not sell %.60q", in.Item), Order{}, "")
		return
	}
	order, err := s.buy(r.Context(), Order{ID: newID("ord_"), Email: in.Email, Item: in.Item, Amount: price, Placed: time.Now()})
	s.reply(w, r, order, err)
}

func (s *Shop) signup(w http.ResponseWriter, r *http.Request) {
	in, code, err := readInput(w, r)
	if err != nil {
		problem(w, code, err.Error(), Order{}, "")
		return
	}
	member := Order{ID: newID("mem_"), Email: in.Email, State: Joined, Placed: time.Now()}
	member, err = s.finish(r.Context(), member, EffectMail, EffectSubscribe, EffectChat, EffectTrack)
	s.reply(w, r, member, err)
}

// reply answers a checkout or a signup.
func (s *Shop) reply(w http.ResponseWriter, r *http.Request, order Order, err error) {
	var failed *effectError
	switch {
	case errors.As(err, &failed):
		problem(w, http.StatusBadGateway, failed.Error(), order, failed.effect)
		return
	case err != nil:
		problem(w, http.StatusInternalServerError, err.Error(), order, "")
		return
	}
	code := http.StatusCreated
	if order.State == Charging {
		code = http.StatusAccepted
	}
	w.Header().Set("Location", "orders/"+order.ID)
	s.show(w, r, code, order, "orders/"+order.ID, ".")
}

func (s *Shop) order(w http.ResponseWriter, r *http.Request) {
	order, err := s.store.Order(r.Context(), r.PathValue("id"))
	switch {
	case errors.Is(err, ErrNoOrder):
		problem(w, http.StatusNotFound, "no such order", Order{}, "")
	case err != nil:
		problem(w, http.StatusInternalServerError, err.Error(), Order{}, "")
	default:
		s.show(w, r, http.StatusOK, order, order.ID, "..")
	}
}

// show writes an order as a page or as JSON. self and home are where the order and the shop are, seen from this address.
func (s *Shop) show(w http.ResponseWriter, r *http.Request, code int, order Order, self, home string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Vary", "Accept")
	if wantsPage(r) {
		writePage(w, code, orderPage, map[string]any{"Order": order, "Self": self, "Home": home, "Form": s.form})
		return
	}
	answer(w, code, order)
}

func (s *Shop) front(w http.ResponseWriter, r *http.Request) {
	orders, err := s.store.Orders(r.Context(), 10)
	if err != nil {
		problem(w, http.StatusInternalServerError, err.Error(), Order{}, "")
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	writePage(w, http.StatusOK, frontPage, map[string]any{"Goods": goods, "Orders": orders, "Form": s.form})
}

func wantsPage(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// input is what a customer sends.
type input struct {
	Email string `json:"email"`
	Item  string `json:"item"`
}

// readInput reads a form or JSON and checks the address; on an error it returns the status that fits.
func readInput(w http.ResponseWriter, r *http.Request) (input, int, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxOrder)
	var in input
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // an unreadable type is none of the two below
	switch media {
	case "application/json":
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			return in, http.StatusBadRequest, fmt.Errorf("the body is not the JSON of an order: %w", err)
		}
	case "application/x-www-form-urlencoded":
		if err := r.ParseForm(); err != nil {
			return in, http.StatusBadRequest, fmt.Errorf("the body is no form: %w", err)
		}
		in = input{Email: r.PostForm.Get("email"), Item: r.PostForm.Get("item")}
	default:
		return in, http.StatusUnsupportedMediaType, errors.New("send a form or application/json")
	}
	addr, err := mail.ParseAddress(in.Email)
	if err != nil || addr.Address != in.Email || len(in.Email) > 254 || !plain(in.Email) {
		return in, http.StatusBadRequest, fmt.Errorf("%.60q is no plain mail address", in.Email)
	}
	return in, 0, nil
}

// plain reports whether s is printable ASCII, so that it fits a mail header and an SMTP command as it is.
func plain(s string) bool {
	for _, r := range s {
		if r <= ' ' || r > '~' {
			return false
		}
	}
	return true
}

// problem writes an application/problem+json answer that names the order and the effect, if there are any.
func problem(w http.ResponseWriter, code int, detail string, order Order, effect string) {
	body := map[string]any{"type": "about:blank", "title": http.StatusText(code), "status": code, "detail": detail}
	if order.ID != "" {
		body["order"] = order.ID
	}
	if effect != "" {
		body["effect"] = effect
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // if the customer is gone, nobody is there to be told
}

// newID returns a prefix and 26 random letters and digits.
func newID(prefix string) string { return prefix + strings.ToLower(rand.Text()) }
