package redis

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

// Exchange implements [bellhop.Store].
func (s *Store) Exchange(ctx context.Context, r *bellhop.ExchangeRequest) (reply *bellhop.ExchangeReply, err error) {
	var lost []bellhop.Claim
	err = s.verb(ctx, bellhop.OpExchange, func() error {
		in, err := s.exchangeItems(r)
		if err != nil {
			return err
		}
		answer, err := s.run(ctx, bellhop.OpExchange, scriptExchange, in)
		if err != nil {
			return err
		}
		reply, lost, err = readExchange(r, answer)
		return err
	})
	if len(lost) > 0 {
		_ = s.bury(ctx, lost) // if that fails, a beat or the sweep finds them again
	}
	return reply, err
}

// lostBytes is the reason of a job that is dead because what it is to do is lost.
const lostBytes = "the job's bytes are lost: they were deleted from the server, or damaged there"

// bury ends claims of jobs whose bytes are lost: nobody can run them, nor decide about them.
func (s *Store) bury(ctx context.Context, lost []bellhop.Claim) error {
	if len(lost) == 0 {
		return nil
	}
	r := &bellhop.ExchangeRequest{ID: bellhop.NewID()}
	for i := range lost {
		o := lost[i].HandBack(lostBytes)
		o.Kind, o.Keep = bellhop.OutcomeDead, bellhop.Forever
		r.Outcomes = append(r.Outcomes, o)
	}
	_, err := s.Exchange(ctx, r)
	return err
}

func (s *Store) exchangeItems(r *bellhop.ExchangeRequest) (items, error) {
	in := items{list: make([]any, 0, 4*len(r.Outcomes)+2*len(r.Wants)+6*len(r.Puts)+16)}
	in.text(idText(r.Process))
	in.raw(r.ID[:])
	in.number(int64(s.settings.keepFinished))
	in.number(int64(r.Limit))
	in.text(names(r.Kinds))
	in.number(int64(len(r.Wants)))
	for _, w := range r.Wants {
		in.text(w.Queue)
		in.number(int64(w.Count))
	}
	if err := appendPuts(&in, r.Puts); err != nil {
		return in, err
	}
	in.number(int64(len(r.Outcomes)))
	room := make([]byte, 0, 64*len(r.Outcomes))
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		if !o.Kind.Valid() {
			return in, &bellhop.InvalidError{Index: i, Field: "outcome", Reason: o.Kind.String() + " is unknown"}
		}
		in.raw(o.Token.JobID[:])
		start := len(room)
		room = appendHead(room, o)
		in.raw(room[start:len(room):len(room)])
		in.text(when(o))
		in.text(outcomeTexts(o))
	}
	return in, nil
}

// when returns how long the outcome's job waits or is kept, in microseconds;
// empty for one that does not wait, or is kept for ever.
func when(o *bellhop.Outcome) string {
	switch to := o.Kind.To(); {
	case to == bellhop.StateScheduled:
		return strconv.FormatInt(int64(floorMicros(o.Wait)), 10)
	case to.Final() && o.Keep >= 0:
		return strconv.FormatInt(int64(o.Keep/time.Microsecond), 10)
	}
	return ""
}

// outcomeTexts returns reason and result with their lengths before them.
func outcomeTexts(o *bellhop.Outcome) string {
	reason := keepable(o.Reason)
	result := o.Result
	if !o.Kind.To().Final() {
		result = nil
	}
	if reason == "" && len(result) == 0 {
		return ""
	}
	b := make([]byte, 0, 8+len(reason)+len(result))
	b = order.AppendUint32(b, uint32(len(reason)))
	b = order.AppendUint32(b, uint32(len(result)))
	return string(append(append(b, reason...), result...))
}

// names joins names for the scripts: "|mail|reports|"; empty for none. What no
// name can be is replaced by another word of that kind, so that it finds nothing.
func names(list []string) string {
	var b strings.Builder
	for _, name := range list {
		if name == "" || strings.Contains(name, "|") {
			name = "\x01"
		}
		b.WriteString("|" + name)
	}
	return b.String() + ifSet(len(list) > 0, "|")
}

// idText returns an id as bytes; empty for none.
func idText(id bellhop.ID) string {
	if id.IsZero() {
		return ""
	}
	return string(id[:])
}

func readExchange(r *bellhop.ExchangeRequest, answer any) (reply *bellhop.ExchangeReply, lost []bellhop.Claim, err error) {
	l, err := row(answer, 2)
	if err != nil {
		return nil, nil, err
	}
	if text(l[0]) == "conflict" {
		return nil, nil, misfit(r.Puts, integer(l[1]))
	}
	if l, err = row(answer, 8); err != nil {
		return nil, nil, err
	}
	now := integer(l[1])
	reply = &bellhop.ExchangeReply{Refused: readRefusals(l[3])}
	if reply.Claims, lost, err = readClaims(l[4]); err != nil {
		return nil, nil, err
	}
	reply.Signals = bellhop.Signals{Now: at(now), NextDue: until(text(l[2]), now), Cancel: readTokens(l[5])}
	paused := list(l[6])
	for _, w := range r.Wants {
		stopped := slices.ContainsFunc(paused, func(v any) bool { return text(v) == w.Queue })
		if stopped && !slices.Contains(reply.Signals.Paused, w.Queue) {
			reply.Signals.Paused = append(reply.Signals.Paused, w.Queue)
		}
	}
	if integer(l[7]) != 0 {
		return reply, lost, fmt.Errorf("process %v: %w", r.Process, bellhop.ErrProcessGone)
	}
	return reply, lost, nil
}

// readRefusals reads indexes and what is recorded.
func readRefusals(v any) (refused []bellhop.Refusal) {
	for pair := range slices.Chunk(list(v), 2) {
		refused = append(refused, bellhop.Refusal{
			Index: int(integer(pair[0])), Err: bellhop.ErrStale, Recorded: bellhop.OutcomeKind(integer(pair[1])),
		})
	}
	return refused
}

// readClaims reads ids, jobs and places. Those of jobs whose bytes are lost or damaged are apart.
func readClaims(v any) (claims, lost []bellhop.Claim, err error) {
	all := list(v)
	if len(all) == 0 {
		return nil, nil, nil
	}
	claims = make([]bellhop.Claim, 0, len(all)/3)
	for three := range slices.Chunk(all, 3) {
		if len(three) < 3 {
			return nil, nil, errBroken
		}
		e, err := readEntry(text(three[0]), text(three[1]), text(three[2]))
		if err != nil {
			return nil, nil, err
		}
		c := bellhop.Claim{
			Token: bellhop.Token{JobID: e.ID, Number: e.Place.Claim, Exchange: e.Place.Exchange},
			Job:   &e.Job, Place: e.Place, Started: e.started,
		}
		if three[1] == nil || e.damaged {
			lost = append(lost, c)
		} else {
			claims = append(claims, c)
		}
	}
	return claims, lost, nil
}

// readTokens reads ids and tokens, and returns them in the order of the ids.
func readTokens(v any) (tokens []bellhop.Token) {
	for pair := range slices.Chunk(list(v), 2) {
		tokens = append(tokens, readToken(text(pair[0]), text(pair[1])))
	}
	slices.SortFunc(tokens, func(a, b bellhop.Token) int { return a.JobID.Compare(b.JobID) })
	return tokens
}

// until returns how long it is until the due time that a script has returned:
// 0 if it has come, -1 if there is none.
func until(due string, now int64) time.Duration {
	if due == "" {
		return -1
	}
	return max(0, time.Duration(score(due)-now)*time.Microsecond)
}

// score reads a time that the server returns as the score of a sorted set.
func score(s string) int64 {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	f, _ := strconv.ParseFloat(s, 64)
	return int64(min(f, 1<<62))
}

// Report implements [bellhop.Store].
func (s *Store) Report(ctx context.Context, reports []bellhop.Report) (refused []bellhop.Refusal, err error) {
	in := items{}
	for i := range reports {
		r := &reports[i]
		in.raw(r.Token.JobID[:])
		in.raw(appendToken(nil, r.Token))
		in.text(ifSet(r.Started, "1"))
		in.text(ifSet(r.Progress != nil, "p"+string(r.Progress)))
	}
	err = s.ask(ctx, bellhop.OpReport, scriptReport, in, func(reply any) error {
		refused = readRefusals(reply)
		return nil
	})
	return refused, err
}
