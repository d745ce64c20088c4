package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
)

// Effects is what the shop does to the outside world for one order. An implementation may call the world itself, or do so
// through something else. Every method returns when the service has confirmed.
type Effects interface {
	// Charge charges the order's amount; only purchases have one. A repeat must not charge again.
	Charge(ctx context.Context, order Order) error
	// Mail sends the receipt of a purchase or the welcome of a signup.
	Mail(ctx context.Context, order Order) error
	// Subscribe puts the customer on the mailing list.
	Subscribe(ctx context.Context, order Order) error
	// Chat tells the staff.
	Chat(ctx context.Context, order Order) error
	// Track sends the event to the analytics service.
	Track(ctx context.Context, order Order) error
}

// Apply runs the named effect of an order. An unknown name is an error.
func Apply(ctx context.Context, e Effects, effect string, order Order) error {
	switch effect {
	case EffectCharge:
		return e.Charge(ctx, order)
	case EffectMail:
		return e.Mail(ctx, order)
	case EffectSubscribe:
		return e.Subscribe(ctx, order)
	case EffectChat:
		return e.Chat(ctx, order)
	case EffectTrack:
		return e.Track(ctx, order)
	}
	return fmt.Errorf("demo: no effect %q: use one of %v", effect, AllEffects())
}

// StatusError is an answer of an HTTP service that is no success.
type StatusError struct {
	Service    string        // the service's name
	Code       int           // the HTTP status
	RetryAfter time.Duration // what the Retry-After header asked for in seconds; zero without one
	Detail     string        // the beginning of the answer's body
}

// Error names the service and the status.
func (e *StatusError) Error() string {
	return fmt.Sprintf("demo: %s answered %d: %s", e.Service, e.Code, e.Detail)
}

// Direct calls the world itself, with net/http and an SMTP client. It keeps HTTP connections open between calls, and opens one
// connection for each mail.
type Direct struct {
	// Key returns the Idempotency-Key of a charge; an empty key sends no header. Nil: a key made from the order's id.
	Key func(ctx context.Context, order Order) string
	// Timeout bounds each call. Zero means 30 s.
	Timeout time.Duration

	world     *World
	transport *http.Transport
}

// NewDirect returns effects that call the given world.
func NewDirect(w *World) *Direct {
	return &Direct{
		world: w,
		transport: &http.Transport{
			MaxIdleConnsPerHost: 64,
			IdleConnTimeout:     time.Minute,
		},
	}
}

// Close closes idle connections. Calls may still be made afterwards.
func (d *Direct) Close() error {
	d.transport.CloseIdleConnections()
	return nil
}

// Charge charges the order's amount at the payment service.
func (d *Direct) Charge(ctx context.Context, order Order) error {
	key := "charge-" + order.ID
	if d.Key != nil {
		key = d.Key(ctx, order)
	}
	return d.post(ctx, d.world.Payment, "/charges", key, map[string]any{"order": order.ID, "amount": order.Amount})
}

// Subscribe puts the customer on the mailing list.
func (d *Direct) Subscribe(ctx context.Context, order Order) error {
	return d.post(ctx, d.world.List, "/members", "", map[string]any{"member": order.ID, "email": order.Email})
}

// Chat tells the staff.
func (d *Direct) Chat(ctx context.Context, order Order) error {
	text := order.Email + " signed up"
	if !order.Signup() {
		text = fmt.Sprintf("%s bought %s for %s", order.Email, order.Item, order.Price())
	}
	return d.post(ctx, d.world.Chat, "/messages", "", map[string]any{"order": order.ID, "text": text})
}

// Track sends the event to the analytics service.
func (d *Direct) Track(ctx context.Context, order Order) error {
	event := "purchase"
	if order.Signup() {
		event = "signup"
	}
	return d.post(ctx, d.world.Analytics, "/events", "", map[string]any{"order": order.ID, "event": event, "amount": order.Amount})
}

// Mail sends the receipt of a purchase or the welcome of a signup. The Message-ID is made from the order's id, so a repeated
// mail has the same one.
func (d *Direct) Mail(ctx context.Context, order Order) error {
	ctx, cancel := context.WithTimeout(ctx, d.timeout())
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", d.world.Mail.Addr())
	if err != nil {
		return fmt.Errorf("demo: mail: %w", err)
	}
	// The client has no context, and its own time limits are minutes; closing the connection ends whatever it waits for.
	release := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer release()
	client := smtp.NewClient(conn)
	if err := client.SendMail(mailFrom, []string{order.Email}, strings.NewReader(MailText(order))); err != nil {
		_ = client.Close()
		if cause := context.Cause(ctx); cause != nil {
			err = cause // the closed connection is only its consequence
		}
		return fmt.Errorf("demo: mail: %w", err)
	}
	_ = client.Quit() // the mail is accepted; a farewell that fails changes nothing
	return nil
}

const mailFrom = "shop@shop.example"

// MailText returns the whole mail for an order, with headers and CRLF line ends.
func MailText(order Order) string {
	subject, body := "Welcome", "Good to have you."
	if !order.Signup() {
		subject, body = "Your receipt", fmt.Sprintf("Thank you for buying %s for %s.", order.Item, order.Price())
	}
	return strings.Join([]string{
		"From: Bellhop demo shop <" + mailFrom + ">",
		"To: <" + order.Email + ">",
		"Subject: " + subject,
		"Date: " + order.Placed.Format(time.RFC1123Z),
		"Message-ID: <" + order.ID + "@shop.example>",
		"X-Order: " + order.ID,
		"MIME-Version: 1.0",
		"Content-Type: text/plain; charset=utf-8",
		"",
		body,
		"",
	}, "\r\n")
}

func (d *Direct) timeout() time.Duration {
	if d.Timeout > 0 {
		return d.Timeout
	}
	return 30 * time.Second
}

// post makes one call and reads its answer to the end, so that the connection can be used again.
func (d *Direct) post(ctx context.Context, s *Service, path, key string, body map[string]any) error {
	ctx, cancel := context.WithTimeout(ctx, d.timeout())
	defer cancel()
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.Addr()+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := d.transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("demo: %s: %w", s.name, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxCall))
	if err != nil {
		return fmt.Errorf("demo: %s: reading the answer: %w", s.name, err)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		seconds, _ := strconv.Atoi(res.Header.Get("Retry-After")) // a date or nothing counts as zero
		return &StatusError{
			Service: s.name, Code: res.StatusCode, RetryAfter: time.Duration(seconds) * time.Second,
			Detail: strings.TrimSpace(string(answer[:min(len(answer), 200)])),
		}
	}
	return nil
}
