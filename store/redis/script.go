package redis

import (
	"context"
	"crypto/sha1"
	"embed"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/gobellhop/bellhop"
)

// The scripts, one for each verb. Those without a "#!lua" line are parts that
// others use; the second line of a script names its parts.
//
//go:embed scripts/*.lua
var files embed.FS

// script is a named statement that the server keeps under its hash.
type script struct {
	name, text, hash string
}

var (
	scriptEnqueue   = compile("enqueue")
	scriptExchange  = compile("exchange")
	scriptReport    = compile("report")
	scriptBeat      = compile("beat")
	scriptSweep     = compile("sweep")
	scriptRelist    = compile("relist")
	scriptPromote   = compile("promote")
	scriptPrune     = compile("prune")
	scriptAct       = compile("act")
	scriptGet       = compile("get")
	scriptList      = compile("list")
	scriptLines     = compile("lines")
	scriptCounts    = compile("counts")
	scriptStats     = compile("stats")
	scriptOldest    = compile("oldest")
	scriptProcesses = compile("processes")
	scriptPause     = compile("pause")
	scriptRecords   = compile("records")
	scriptPut       = compile("put")
	scriptPing      = compile("ping")
	scriptKeys      = compile("keys")
	scriptStage     = compile("stage")
	// scriptStageNew stages what the server may refuse for want of memory.
	scriptStageNew = newScript("stage new", strings.Replace(scriptStage.text, " flags=allow-oom", "", 1))
)

// compile puts a script and the parts that it uses together.
func compile(name string) *script {
	read := func(name string) string {
		text, err := files.ReadFile("scripts/" + name + ".lua")
		if err != nil { // the files are part of the program
			panic(err)
		}
		return string(text)
	}
	first, rest, _ := strings.Cut(read(name), "\n")
	uses, rest, _ := strings.Cut(rest, "\n")
	text := first + "\n"
	for part := range strings.FieldsSeq(strings.TrimPrefix(uses, "-- uses:")) {
		text += read(part)
	}
	return newScript(name, text+rest)
}

func newScript(name, text string) *script {
	sum := sha1.Sum([]byte(text))
	return &script{name, text, hex.EncodeToString(sum[:])}
}

// spares reports whether the server runs the script also when its memory is full.
func (s *script) spares() bool { return strings.HasPrefix(s.text, "#!lua flags=") }

// reads reports whether the script changes nothing, and the server lets it change nothing.
func (s *script) reads() bool { return strings.HasPrefix(s.text, "#!lua flags=no-writes") }

// Sizes from which on the items of a call are staged, and of the pieces in which they are.
const (
	stageItems = 50_000
	stageBytes = 8 << 20
	pieceBytes = 4 << 20
	pieceItems = 16_000
)

// items are what a call brings for its script: texts and bytes.
type items struct {
	list  []any
	bytes int
}

func (a *items) text(s string) {
	a.list = append(a.list, s)
	a.bytes += len(s)
}

func (a *items) raw(b []byte) {
	a.list = append(a.list, b)
	a.bytes += len(b)
}

func (a *items) number(n int64) { a.text(strconv.FormatInt(n, 10)) }

// run runs a verb's script. Items that are too many for one command are staged
// in pieces before; the server forgets them after a minute if the script does
// not come for them.
func (s *Store) run(ctx context.Context, op bellhop.Op, sc *script, in items) (any, error) {
	if len(in.list) <= stageItems && in.bytes <= stageBytes {
		return s.step(ctx, op, sc, append([]any{s.offset(), "", ""}, in.list...))
	}
	key := s.keys.base + "stage|" + bellhop.NewID().String()
	stage := scriptStageNew
	if sc.spares() {
		stage = scriptStage
	}
	for at := 0; at < len(in.list); {
		piece, size := []any{"0", key}, 0
		for ; at < len(in.list) && len(piece) < pieceItems && size < pieceBytes; at++ {
			piece = append(piece, in.list[at])
			size += length(in.list[at])
		}
		if _, err := s.step(ctx, op, stage, piece); err != nil {
			return nil, unchanged(err)
		}
	}
	call := []any{s.offset(), key, len(in.list)}
	if sc.reads() {
		call = append(call, "keep") // until it expires
	}
	return s.step(ctx, op, sc, call)
}

func length(v any) int {
	if b, ok := v.([]byte); ok {
		return len(b)
	}
	return len(v.(string))
}

// step runs one script, and lets a fault test in before and after it.
func (s *Store) step(ctx context.Context, op bellhop.Op, sc *script, args []any) (reply any, err error) {
	fault := s.fault.Load()
	if fault != nil {
		if err := (*fault)(ctx, op, sc.name, false); err != nil {
			return nil, unchanged(err)
		}
	}
	if reply, err = s.eval(ctx, sc, args); err != nil {
		return nil, err
	}
	if fault != nil {
		if err := (*fault)(ctx, op, sc.name, true); err != nil {
			return nil, err
		}
	}
	return reply, nil
}

// eval runs a script on the server. It returns when ctx ends or the time for an
// answer is over, also while the client still waits for one: what the server
// then does is unknown.
func (s *Store) eval(ctx context.Context, sc *script, args []any) (any, error) {
	type answer struct {
		reply any
		err   error
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.settings.timeout, errNoAnswer)
	done := make(chan answer, 1)
	s.calls.Add(1)
	go func() {
		defer s.calls.Done()
		defer cancel()
		reply, err := s.send(ctx, "evalsha", sc.hash, args)
		if redis.HasErrorPrefix(err, "NOSCRIPT") {
			reply, err = s.send(ctx, "eval", sc.text, args)
		}
		done <- answer{reply, err}
	}()
	select {
	case a := <-done:
		return a.reply, a.err
	case <-ctx.Done():
		select {
		case a := <-done:
			return a.reply, a.err
		default:
			return nil, context.Cause(ctx)
		}
	}
}

// once is a command that the client must not send again on its own, as a client
// of a cluster does after a lost answer whatever its settings: what it does may
// have been done.
type once struct{ *redis.Cmd }

// NoRetry is what the client asks before it does.
func (once) NoRetry() bool { return true }

func (s *Store) send(ctx context.Context, command, script string, args []any) (any, error) {
	cmd := redis.NewCmd(ctx, append([]any{command, script, 1, s.keys.base}, args...)...)
	cmd.SetFirstKeyPos(3)
	_ = s.client.Process(ctx, once{cmd}) // the command has the error
	return cmd.Result()
}

// Replies are lists of texts, numbers and lists. A reply of another form is a
// mistake in a script, or of another program that answers in its place.

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	}
	return ""
}

func integer(v any) int64 {
	switch v := v.(type) {
	case int64:
		return v
	case string:
		n, _ := strconv.ParseInt(v, 10, 64)
		return n
	}
	return 0
}

// row returns a reply that must be a list of at least n.
func row(v any, n int) ([]any, error) {
	l, ok := v.([]any)
	if !ok || len(l) < n {
		return nil, fmt.Errorf("the answer of a script has another form than expected (%T)", v)
	}
	return l, nil
}

// unpack returns the texts of a list that a script has packed as MessagePack, as far as that needs it: an even number of texts, and
// none is packed as an empty text.
func unpack(packed string) (texts []string, err error) {
	if packed == "" {
		return nil, nil
	}
	r := reader{s: packed}
	n := 0
	switch head := r.number(1); {
	case head&0xf0 == 0x90:
		n = int(head & 0xf)
	case head == 0xdc:
		n = int(r.number(2))
	case head == 0xdd:
		n = int(r.number(4))
	}
	for range n {
		size := 0
		switch head := r.number(1); {
		case head&0xe0 == 0xa0:
			size = int(head & 0x1f)
		case head >= 0xd9 && head <= 0xdb: // with a length of 1, 2 or 4 bytes
			size = int(r.number(1 << (head - 0xd9)))
		default:
			r.broken = true
		}
		texts = append(texts, r.take(size))
		if r.broken {
			break
		}
	}
	if r.broken || r.s != "" || n == 0 || n%2 != 0 {
		return nil, fmt.Errorf("the answer of a script has another form than expected (%d bytes)", len(packed))
	}
	return texts, nil
}
