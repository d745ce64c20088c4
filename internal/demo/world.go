package demo

import (
	"fmt"
	"time"
)

// Names of the effects that an order or a signup has in the outside world, in the order in which a request makes them.
const (
	EffectCharge    = "charge"    // the card is charged: the payment service
	EffectMail      = "mail"      // a mail is delivered: the mail server
	EffectSubscribe = "subscribe" // an address joins the mailing list
	EffectChat      = "chat"      // a line appears in the staff chat
	EffectTrack     = "track"     // an event reaches the analytics service
)

// AllEffects returns the names of all effects in the order in which an inline checkout makes them.
func AllEffects() []string {
	return []string{EffectCharge, EffectMail, EffectSubscribe, EffectChat, EffectTrack}
}

// What one call takes at each service when it is well and the scale is 1.
const (
	PaymentLatency   = 800 * time.Millisecond
	MailLatency      = 600 * time.Millisecond
	ListLatency      = 400 * time.Millisecond
	ChatLatency      = 200 * time.Millisecond
	AnalyticsLatency = 150 * time.Millisecond
)

// World is everything outside the shop. All five services listen on loopback, on ports that the system chose.
type World struct {
	Payment   *Service // POST /charges, honours Idempotency-Key
	Mail      *Service // SMTP
	List      *Service // POST /members
	Chat      *Service // POST /messages
	Analytics *Service // POST /events
}

// WorldConfig sets up a [World].
type WorldConfig struct {
	// Scale multiplies the time that every call takes: 0.01 makes the world a hundred times faster. Zero means 1.
	Scale float64
}

// StartWorld starts the five services, all of them [Normal]. It fails when a loopback port cannot be opened.
func StartWorld(cfg WorldConfig) (*World, error) {
	if cfg.Scale == 0 {
		cfg.Scale = 1
	}
	if cfg.Scale < 0 {
		return nil, fmt.Errorf("demo: world scale is %v: give a number above 0", cfg.Scale)
	}
	scaled := func(d time.Duration) time.Duration { return time.Duration(float64(d) * cfg.Scale) }
	w := &World{
		Payment:   newService("payment", EffectCharge, scaled(PaymentLatency), servePayment),
		Mail:      newService("mail", EffectMail, scaled(MailLatency), serveMail),
		List:      newService("list", EffectSubscribe, scaled(ListLatency), serveCalls),
		Chat:      newService("chat", EffectChat, scaled(ChatLatency), serveCalls),
		Analytics: newService("analytics", EffectTrack, scaled(AnalyticsLatency), serveCalls),
	}
	for _, s := range w.Services() {
		if err := s.start(); err != nil {
			w.Close()
			return nil, err
		}
	}
	return w, nil
}

// Services returns the five services in the order in which an inline checkout calls them.
func (w *World) Services() []*Service {
	return []*Service{w.Payment, w.Mail, w.List, w.Chat, w.Analytics}
}

// Service returns the service that does the named effect, or nil when there is no such effect.
func (w *World) Service(effect string) *Service {
	for _, s := range w.Services() {
		if s.effect == effect {
			return s
		}
	}
	return nil
}

// Latency returns what the named effects take one after the other when every service is well.
func (w *World) Latency(effects ...string) time.Duration {
	var sum time.Duration
	for _, effect := range effects {
		if s := w.Service(effect); s != nil {
			sum += s.latency
		}
	}
	return sum
}

// Snapshot holds the counts of all services at one moment.
type Snapshot struct {
	Payment, Mail, List, Chat, Analytics Counts
}

// Snapshot returns the counts of all services.
func (w *World) Snapshot() Snapshot {
	return Snapshot{
		Payment:   w.Payment.Counts(),
		Mail:      w.Mail.Counts(),
		List:      w.List.Counts(),
		Chat:      w.Chat.Counts(),
		Analytics: w.Analytics.Counts(),
	}
}

// Reset empties the books of all services: counts, orders and idempotency keys. Calls under way are counted after it, so call
// it when the world is quiet.
func (w *World) Reset() {
	for _, s := range w.Services() {
		s.book.reset()
	}
}

// Close stops all services and returns when every call has ended. Closing twice is allowed.
func (w *World) Close() {
	for _, s := range w.Services() {
		s.close()
	}
}
