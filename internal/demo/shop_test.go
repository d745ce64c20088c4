package demo

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ask sends one request to a handler and returns the answer.
func ask(t *testing.T, h http.Handler, method, path, accept, media, body string) (code int, text string) {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	req.Header.Set("Accept", accept)
	req.Header.Set("Content-Type", media)
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec.Code, rec.Body.String()
}

// script records the effects it is asked for, and fails those it is told to.
type script struct {
	mu   sync.Mutex
	done []string
	fail string
}

func (s *script) do(effect string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail == effect {
		return errors.New("it rains")
	}
	s.done = append(s.done, effect)
	return nil
}

func (s *script) Charge(context.Context, Order) error    { return s.do(EffectCharge) }
func (s *script) Mail(context.Context, Order) error      { return s.do(EffectMail) }
func (s *script) Subscribe(context.Context, Order) error { return s.do(EffectSubscribe) }
func (s *script) Chat(context.Context, Order) error      { return s.do(EffectChat) }
func (s *script) Track(context.Context, Order) error     { return s.do(EffectTrack) }

// scripted returns a shop over a script, and the list of what it handed off.
func scripted(t *testing.T, form Form, effects *script) (shop *Shop, store *MemoryStore, handed *[]string) {
	t.Helper()
	handed = new([]string)
	store = NewMemoryStore(HandFunc(func(_ context.Context, effect string, _ Order) error {
		*handed = append(*handed, effect)
		return nil
	}))
	shop, err := NewShop(ShopConfig{Form: form, Store: store, Effects: effects})
	if err != nil {
		t.Fatal(err)
	}
	return shop, store, handed
}

const order = `{"email":"guest@example.com","item":"Luggage tag"}`

func TestFormsSplitTheCheckout(t *testing.T) {
	want := []struct {
		code           int
		state          State
		inline, handed []string
	}{
		{http.StatusCreated, Paid, AllEffects(), nil},
		{http.StatusCreated, Paid, []string{EffectCharge, EffectSubscribe}, []string{EffectMail, EffectChat, EffectTrack}},
		{http.StatusCreated, Paid, []string{EffectCharge}, []string{EffectMail, EffectSubscribe, EffectChat, EffectTrack}},
		{http.StatusAccepted, Charging, nil, []string{EffectCharge}},
	}
	for i, form := range Forms() {
		effects := &script{}
		shop, store, handed := scripted(t, form, effects)
		code, body := ask(t, shop, "POST", "/checkout", "", "application/json", order)
		var placed Order
		if err := json.Unmarshal([]byte(body), &placed); err != nil {
			t.Fatal(err)
		}
		if code != want[i].code || placed.State != want[i].state {
			t.Errorf("%s: status %d, state %s", form.Name, code, placed.State)
		}
		if !slices.Equal(effects.done, want[i].inline) || !slices.Equal(*handed, want[i].handed) {
			t.Errorf("%s: inline %v, handed off %v", form.Name, effects.done, *handed)
		}
		stored, err := store.Order(t.Context(), placed.ID)
		if err != nil || stored.State != want[i].state {
			t.Errorf("%s: stored %+v, %v", form.Name, stored, err)
		}
	}
}

func TestRunningTheChargeTwiceHandsOffOnce(t *testing.T) {
	effects := &script{fail: EffectCharge}
	shop, store, handed := scripted(t, Forms()[3], effects)
	_, body := ask(t, shop, "POST", "/checkout", "", "application/json", order)
	var placed Order
	if err := json.Unmarshal([]byte(body), &placed); err != nil {
		t.Fatal(err)
	}
	if err := shop.Run(t.Context(), EffectCharge, placed.ID); err == nil {
		t.Error("a failed charge was taken for done")
	}
	if now, _ := store.Order(t.Context(), placed.ID); now.State != Charging {
		t.Errorf("after a failed charge the order is %s", now.State)
	}
	effects.fail = ""
	for range 2 {
		if err := shop.Run(t.Context(), EffectCharge, placed.ID); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(AllEffects(), *handed); diff != "" {
		t.Errorf("handed off (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{EffectCharge}, effects.done); diff != "" {
		t.Errorf("done (-want +got):\n%s", diff)
	}
	if now, _ := store.Order(t.Context(), placed.ID); now.State != Paid || now.Paid.IsZero() {
		t.Errorf("the order is %+v", now)
	}
	if err := shop.Run(t.Context(), EffectMail, "ord_none"); !errors.Is(err, ErrNoOrder) {
		t.Errorf("an unknown order: %v", err)
	}
}

func TestInlineFailureReachesTheCustomer(t *testing.T) {
	for effect, state := range map[string]State{EffectCharge: Failed, EffectSubscribe: Paid} {
		shop, store, _ := scripted(t, Form{}, &script{fail: effect})
		code, body := ask(t, shop, "POST", "/checkout", "", "application/json", order)
		var out struct{ Order, Effect, Detail string }
		if err := json.Unmarshal([]byte(body), &out); err != nil {
			t.Fatal(err)
		}
		if code != http.StatusBadGateway || out.Effect != effect || out.Detail != effect+": it rains" {
			t.Errorf("%s fails: %d %s", effect, code, body)
		}
		if stored, err := store.Order(t.Context(), out.Order); err != nil || stored.State != state {
			t.Errorf("%s fails: the order is %+v, %v; want %s", effect, stored, err, state)
		}
	}
}

func TestSignup(t *testing.T) {
	effects := &script{}
	shop, store, handed := scripted(t, Forms()[1], effects)
	code, body := ask(t, shop, "POST", "/signup", "text/html", "application/x-www-form-urlencoded", "email=guest%40example.com")
	if code != http.StatusCreated || !strings.Contains(body, `class="state joined"`) {
		t.Errorf("%d %s", code, body)
	}
	if !slices.Equal(effects.done, []string{EffectSubscribe}) || !slices.Equal(*handed, []string{EffectMail, EffectChat, EffectTrack}) {
		t.Errorf("inline %v, handed off %v", effects.done, *handed)
	}
	members, err := store.Orders(t.Context(), 5)
	if err != nil || len(members) != 1 || !members[0].Signup() || !strings.HasPrefix(members[0].ID, "mem_") {
		t.Errorf("members %+v, %v", members, err)
	}
}

func TestPages(t *testing.T) {
	shop, store, _ := scripted(t, Forms()[3], &script{})
	code, body := ask(t, shop, "POST", "/checkout", "text/html", "application/json", order)
	orders, err := store.Orders(t.Context(), 1)
	if err != nil || len(orders) != 1 {
		t.Fatalf("orders %v, %v", orders, err)
	}
	id := orders[0].ID
	if code != http.StatusAccepted || !strings.Contains(body, `content="1; url=orders/`+id+`"`) {
		t.Errorf("checkout: %d %s", code, body)
	}
	code, body = ask(t, shop, "GET", "/orders/"+id, "text/html", "", "")
	if code != http.StatusOK || !strings.Contains(body, `content="1; url=`+id+`"`) || !strings.Contains(body, `class="state charging"`) {
		t.Errorf("charging: %d %s", code, body)
	}
	if err := shop.Run(t.Context(), EffectCharge, id); err != nil {
		t.Fatal(err)
	}
	code, body = ask(t, shop, "GET", "/orders/"+id, "text/html", "", "")
	if code != http.StatusOK || strings.Contains(body, "refresh") || !strings.Contains(body, `class="state paid"`) {
		t.Errorf("paid: %d %s", code, body)
	}
	if _, body = ask(t, shop, "GET", "/orders/"+id, "application/json", "", ""); !strings.Contains(body, `"state":"paid"`) {
		t.Errorf("JSON: %s", body)
	}
	if code, body = ask(t, shop, "GET", "/", "text/html", "", ""); code != http.StatusOK || !strings.Contains(body, "orders/"+id) {
		t.Errorf("front: %d %s", code, body)
	}
	if code, _ = ask(t, shop, "GET", "/orders/none", "", "", ""); code != http.StatusNotFound {
		t.Errorf("unknown order: %d", code)
	}
}

func TestBadInputIsRefused(t *testing.T) {
	shop, store, _ := scripted(t, Form{}, &script{})
	for _, c := range []struct {
		path, media, body string
		want              int
	}{
		{"/checkout", "application/json", "{", http.StatusBadRequest},
		{"/checkout", "text/plain", order, http.StatusUnsupportedMediaType},
		{"/checkout", "application/json", `{"email":"guest@example.com","item":"Moon"}`, http.StatusBadRequest},
		{"/checkout", "application/json", `{"email":"Guest <guest@example.com>","item":"Luggage tag"}`, http.StatusBadRequest},
		{"/signup", "application/json", `{"email":"a@b\r\nRCPT TO:<c@d>"}`, http.StatusBadRequest},
		{"/signup", "application/json", `{"email":"gästin@example.com"}`, http.StatusBadRequest},
		{"/signup", "application/json", `{"email":"` + strings.Repeat("x", maxOrder) + `"}`, http.StatusBadRequest},
	} {
		code, body := ask(t, shop, "POST", c.path, "", c.media, c.body)
		if code != c.want || !strings.Contains(body, `"detail":`) {
			t.Errorf("%s %.40s: %d %s, want %d", c.path, c.body, code, body, c.want)
		}
	}
	if orders, _ := store.Orders(t.Context(), 9); len(orders) != 0 {
		t.Errorf("bad input was saved: %v", orders)
	}
}

func TestShopRefusesBadConfiguration(t *testing.T) {
	store, effects := NewMemoryStore(nil), &script{}
	for name, cfg := range map[string]ShopConfig{
		"no store":          {Effects: effects},
		"no effects":        {Store: store},
		"negative workers":  {Store: store, Effects: effects, Workers: -1},
		"unknown effect":    {Store: store, Effects: effects, Form: Form{Handed: []string{"dance"}}},
		"mail before money": {Store: store, Effects: effects, Form: Form{Handed: []string{EffectCharge}}},
	} {
		if _, err := NewShop(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// gate holds every charge until it is opened, and counts how many wait.
type gate struct {
	script
	waiting chan struct{}
	open    chan struct{}
}

func (g *gate) Charge(context.Context, Order) error {
	g.waiting <- struct{}{}
	<-g.open
	return nil
}

func TestOnlyTheWebWorkersServe(t *testing.T) {
	g := &gate{waiting: make(chan struct{}, 10), open: make(chan struct{})}
	shop, err := NewShop(ShopConfig{Store: NewMemoryStore(nil), Effects: g, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	var customers sync.WaitGroup
	for range 2 {
		customers.Go(func() {
			if code, body := ask(t, shop, "POST", "/checkout", "", "application/json", order); code != http.StatusCreated {
				t.Errorf("%d %s", code, body)
			}
		})
	}
	<-g.waiting
	<-g.waiting
	// Both workers are busy: a customer whose patience ends is told so, and no third charge begins.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	rec := httptest.NewRecorder()
	shop.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, "GET", "/", nil))
	if rec.Code != http.StatusServiceUnavailable || len(g.waiting) != 0 {
		t.Errorf("status %d, %d more charges", rec.Code, len(g.waiting))
	}
	close(g.open)
	customers.Wait()
	if code, _ := ask(t, shop, "GET", "/", "", "", ""); code != http.StatusOK {
		t.Errorf("afterwards: %d", code)
	}
}

func TestMemoryStorePutsBackWhatItCannotHandOff(t *testing.T) {
	ctx := t.Context()
	rain := errors.New("it rains")
	store := NewMemoryStore(HandFunc(func(context.Context, string, Order) error { return rain }))
	placed := Order{ID: "ord_1", State: Charging}
	if err := store.Save(ctx, placed, []string{EffectCharge}); !errors.Is(err, rain) {
		t.Errorf("a new order: %v", err)
	}
	if _, err := store.Order(ctx, "ord_1"); !errors.Is(err, ErrNoOrder) {
		t.Errorf("the order stayed: %v", err)
	}
	if err := store.Save(ctx, placed, nil); err != nil {
		t.Fatal(err)
	}
	if err := store.Save(ctx, Order{ID: "ord_1", State: Paid}, []string{EffectMail}); !errors.Is(err, rain) {
		t.Errorf("a paid order: %v", err)
	}
	if now, err := store.Order(ctx, "ord_1"); err != nil || now.State != Charging {
		t.Errorf("the order is %+v, %v", now, err)
	}
	if err := NewMemoryStore(nil).Save(ctx, placed, []string{EffectMail}); err == nil {
		t.Error("handed off to nobody")
	}
}
