package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"time"
)

// maxCall bounds the body of a call to an outside service, in bytes.
const maxCall = 64 << 10

// commitPoint is the part of a payment's latency after which the card is charged. A call that is cut off later has charged the
// card although its caller saw an error, as happens with real payment services.
const commitPoint = 0.5

// call is what an outside service reads from a request. Services ignore other fields.
type call struct {
	id     string // the order's or the member's id
	amount int64
	key    string // the Idempotency-Key header, only for payments
}

// serveCalls is the mailing list, the chat and the analytics service: any POST with an id does its effect at the end of the
// latency.
func serveCalls(ctx context.Context, s *Service, l net.Listener) func() {
	return serveHTTP(ctx, s, l, func(w http.ResponseWriter, r *http.Request, m Mode, c call) {
		if !s.pause(r.Context(), m, 1) {
			panic(http.ErrAbortHandler)
		}
		s.book.effect(c.id)
		answer(w, http.StatusCreated, map[string]any{"id": c.id, "ok": true})
	})
}

// servePayment is the payment service: it charges in the middle of its latency, once for each Idempotency-Key.
func servePayment(ctx context.Context, s *Service, l net.Listener) func() {
	return serveHTTP(ctx, s, l, func(w http.ResponseWriter, r *http.Request, m Mode, c call) {
		c.key = r.Header.Get("Idempotency-Key")
		if first, ok := s.book.known(c.key); ok {
			s.replay(w, c, first)
			return
		}
		if !s.pause(r.Context(), m, commitPoint) {
			panic(http.ErrAbortHandler)
		}
		done, replayed := s.book.charge(c)
		if replayed { // a call with the same key was faster
			s.replay(w, c, done)
			return
		}
		if !s.pause(r.Context(), m, 1-commitPoint) {
			panic(http.ErrAbortHandler)
		}
		answer(w, http.StatusCreated, charged(done))
	})
}

// replay answers with the first result of a key, or refuses the key when it came with another content.
func (s *Service) replay(w http.ResponseWriter, c call, first receipt) {
	if first.call != c {
		s.refuse()
		http.Error(w, "this Idempotency-Key was used with another content", http.StatusUnprocessableEntity)
		return
	}
	s.book.note(func(counts *Counts) { counts.Replays++ })
	w.Header().Set("Idempotent-Replayed", "true")
	answer(w, http.StatusCreated, charged(first))
}

func charged(r receipt) map[string]any {
	return map[string]any{"charge": fmt.Sprintf("ch_%06d", r.number), "order": r.call.id, "amount": r.call.amount}
}

// serveHTTP runs an HTTP server whose calls are counted, refused while the service fails, and checked before they reach do.
func serveHTTP(ctx context.Context, s *Service, l net.Listener, do func(http.ResponseWriter, *http.Request, Mode, call)) func() {
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			m, err := s.enter()
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			defer s.leave()
			c, code, err := readCall(w, r)
			if err != nil {
				s.unread(ctx)
				http.Error(w, err.Error(), code)
				return
			}
			if m == Failing {
				s.refuse()
				w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter/time.Second)))
				http.Error(w, s.name+" is failing", http.StatusServiceUnavailable)
				return
			}
			do(w, r, m, c)
		}),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // cut connections are part of the play
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = srv.Serve(l) // ends with the listener, always with an error that says so
	}()
	return func() {
		_ = srv.Close() // the listener is closed already, and so it says
		<-ended
	}
}

// readCall reads the id and amount of a call; on an error it returns the status that fits.
func readCall(w http.ResponseWriter, r *http.Request) (call, int, error) {
	if r.Method != http.MethodPost {
		return call{}, http.StatusMethodNotAllowed, errors.New("use POST")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCall))
	if err != nil {
		return call{}, http.StatusRequestEntityTooLarge, err
	}
	var in struct {
		Order  string `json:"order"`
		Member string `json:"member"`
		Amount int64  `json:"amount"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return call{}, http.StatusBadRequest, fmt.Errorf("the body is not the JSON of a call: %w", err)
	}
	if in.Order == "" {
		in.Order = in.Member
	}
	if in.Order == "" {
		return call{}, http.StatusBadRequest, errors.New(`the body names neither "order" nor "member"`)
	}
	return call{id: in.Order, amount: in.Amount}, 0, nil
}

// answer writes a JSON answer. The connection may be gone; then nobody is there to be told.
func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}
