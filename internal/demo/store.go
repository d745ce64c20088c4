package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// State is where an order is now.
type State string

// The states of an order. A signup is [Joined] from the start.
const (
	Charging State = "charging" // saved, not paid yet
	Paid     State = "paid"     // the payment service has confirmed the charge
	Failed   State = "failed"   // an inline charge failed; the customer was told
	Joined   State = "joined"   // a signup
)

// Order is what a customer asked for: a purchase, or a signup, which has no item and costs nothing.
type Order struct {
	ID     string    `json:"id"` // ord_… for a purchase, mem_… for a signup
	Email  string    `json:"email"`
	Item   string    `json:"item,omitempty"`
	Amount int64     `json:"amount"` // in cents
	State  State     `json:"state"`
	Placed time.Time `json:"placed"`
	Paid   time.Time `json:"paid,omitzero"` // when the order was marked as paid; zero before that
}

// Signup reports whether this is a signup and no purchase.
func (o Order) Signup() bool { return o.State == Joined }

// Price returns the amount for people, such as "€19.00".
func (o Order) Price() string { return fmt.Sprintf("€%d.%02d", o.Amount/100, o.Amount%100) }

// ErrNoOrder is what [Store.Order] returns for an unknown id.
var ErrNoOrder = errors.New("demo: no such order")

// Store keeps orders.
type Store interface {
	// Save writes the order and hands off the named effects of it, all or nothing where the store has transactions. When the
	// stored order is in the same state already, Save changes nothing and hands off nothing, so that repeating it is harmless.
	Save(ctx context.Context, order Order, handoff []string) error
	// Order returns the order with this id, or ErrNoOrder.
	Order(ctx context.Context, id string) (Order, error)
	// Orders returns the newest orders, newest first, at most limit of them.
	Orders(ctx context.Context, limit int) ([]Order, error)
}

// Hand takes over one effect of an order, to be run later. It returns once the work is safely kept, without running it.
type Hand interface {
	Hand(ctx context.Context, effect string, order Order) error
}

// HandFunc is a function as a [Hand].
type HandFunc func(ctx context.Context, effect string, order Order) error

// Hand calls the function.
func (f HandFunc) Hand(ctx context.Context, effect string, order Order) error {
	return f(ctx, effect, order)
}

// MemoryStore keeps orders in memory and hands effects to a [Hand]. It has no transactions: when the second of two effects
// cannot be handed off, the order is put back as it was and Save fails, but the first effect stays handed off.
type MemoryStore struct {
	hand   Hand
	mu     sync.Mutex
	orders map[string]Order
	ids    []string // in the order of their first Save
}

// NewMemoryStore returns an empty store. The hand may be nil when no form hands anything off; a handoff is an error then.
func NewMemoryStore(hand Hand) *MemoryStore {
	return &MemoryStore{hand: hand, orders: make(map[string]Order)}
}

// Save implements [Store].
func (m *MemoryStore) Save(ctx context.Context, order Order, handoff []string) error {
	if len(handoff) > 0 && m.hand == nil {
		return fmt.Errorf("demo: order %s hands off %v, but the store was made without a hand", order.ID, handoff)
	}
	before, changed := m.put(order)
	if !changed {
		return nil
	}
	for _, effect := range handoff {
		if err := m.hand.Hand(ctx, effect, order); err != nil {
			m.restore(order.ID, before)
			return fmt.Errorf("demo: handing off %s of order %s: %w", effect, order.ID, err)
		}
	}
	return nil
}

// put stores the order unless it is in that state already, and returns what was there before, nil for a new order.
func (m *MemoryStore) put(order Order) (before *Order, changed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, known := m.orders[order.ID]
	if known && old.State == order.State {
		return nil, false
	}
	m.orders[order.ID] = order
	if !known {
		m.ids = append(m.ids, order.ID)
		return nil, true
	}
	return &old, true
}

func (m *MemoryStore) restore(id string, before *Order) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if before != nil {
		m.orders[id] = *before
		return
	}
	delete(m.orders, id)
	m.ids = slices.DeleteFunc(m.ids, func(known string) bool { return known == id })
}

// Order implements [Store].
func (m *MemoryStore) Order(_ context.Context, id string) (Order, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	order, ok := m.orders[id]
	if !ok {
		return Order{}, ErrNoOrder
	}
	return order, nil
}

// Orders implements [Store].
func (m *MemoryStore) Orders(_ context.Context, limit int) ([]Order, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	newest := make([]Order, 0, max(0, min(limit, len(m.ids))))
	for _, id := range slices.Backward(m.ids) {
		if len(newest) >= limit {
			break
		}
		newest = append(newest, m.orders[id])
	}
	return newest, nil
}
