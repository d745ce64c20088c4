package bellhop

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"
)

// Secret is a value in arguments or results that does not show itself: a password, a token, a card number.
//
// It prints as [redacted], whatever the verb, also inside other values and in logs; the only way to the value is Reveal. As
// JSON it is sealed: encrypted with a key that this process alone has and never writes down, so that arguments which are logged
// as JSON by mistake give nothing away. Only where Bellhop takes arguments or a result to keep them is the seal opened:
// there a Secret becomes {"secret": value}, a form that programs in any language can read, and in which pages, the API, the
// command line and logs show [redacted] in the value's place. The store itself is not encrypted: whoever may read its tables
// may read the value. If that is too many, pass a name under which the handler finds the secret elsewhere.
//
// From JSON a Secret reads {"secret": value}, the plain value, as it may stand in jobs that were enqueued before the field was
// a Secret, and what the same process has sealed. The zero Secret holds the zero value of T.
type Secret[T any] struct {
	box *secretBox[T]
}

// secretBox is behind a pointer, and so is what it holds: package fmt calls no methods on the unexported fields of others, and of
// a pointer in them prints what it points to, but of pointers further in only the address.
type secretBox[T any] struct{ value *T }

// NewSecret makes a secret of a value.
func NewSecret[T any](value T) Secret[T] { return Secret[T]{&secretBox[T]{&value}} }

// Reveal returns the value.
func (s Secret[T]) Reveal() T {
	if s.box == nil {
		var zero T
		return zero
	}
	return *s.box.value
}

// IsZero reports whether s holds the zero value of T; encoding/json asks it for fields tagged omitzero.
func (s Secret[T]) IsZero() bool { return s.box == nil || reflect.ValueOf(s.box.value).Elem().IsZero() }

const (
	redacted     = "[redacted]"
	secretMember = "secret"
)

// String returns [redacted].
func (Secret[T]) String() string { return redacted }

// GoString returns [redacted].
func (Secret[T]) GoString() string { return redacted }

// Format writes [redacted], whatever the verb.
func (Secret[T]) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns [redacted].
func (Secret[T]) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON returns the value under seal, as a JSON string; see [Secret]. The zero Secret is null.
func (s Secret[T]) MarshalJSON() ([]byte, error) {
	if s.box == nil {
		return []byte("null"), nil
	}
	if err := ValidStrings(*s.box.value); err != nil {
		return nil, fmt.Errorf("a secret %w", err)
	}
	plain, err := json.Marshal(*s.box.value)
	if err != nil {
		return nil, fmt.Errorf("a secret of type %v cannot be encoded as JSON", reflect.TypeFor[T]())
	}
	return theSealer().seal(plain), nil
}

// UnmarshalJSON reads the forms that [Secret] names. Its errors do not tell the value.
func (s *Secret[T]) UnmarshalJSON(data []byte) error {
	if data = bytes.TrimSpace(data); string(data) == "null" {
		s.box = nil
		return nil
	}
	if bytes.HasPrefix(data, []byte(sealPrefix)) {
		opened, err := openSeals(data)
		if err != nil || bytes.HasPrefix(opened, []byte(sealPrefix)) {
			return fmt.Errorf("the secret was sealed by another process: arguments must be enqueued through their definition, not as what json.Marshal makes of them")
		}
		data = opened
	}
	value := new(T)
	if inner, wrapped := unwrapSecret(data); wrapped {
		if string(inner) == `"`+redacted+`"` {
			return fmt.Errorf("the secret was replaced by %s: give the value itself", redacted)
		}
		if json.Unmarshal(inner, value) == nil {
			s.box = &secretBox[T]{value}
			return nil
		}
		*value = *new(T)
	}
	if json.Unmarshal(data, value) != nil { // its error may quote the value
		return fmt.Errorf("the secret does not fit the type %v", reflect.TypeFor[T]())
	}
	s.box = &secretBox[T]{value}
	return nil
}

// unwrapSecret returns the value in {"secret": value}.
func unwrapSecret(data []byte) (json.RawMessage, bool) {
	if data[0] != '{' {
		return nil, false
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil || len(members) != 1 {
		return nil, false
	}
	inner, ok := members[secretMember]
	return inner, ok
}

// sealPrefix is how sealed secrets begin in JSON, in every process.
const sealPrefix = `"bellhop:sealed:`

// sealer seals and opens secrets of this process.
type sealer struct {
	aead cipher.AEAD
	mark []byte // how its seals begin
}

// usedSealer is the sealer once a secret has been sealed, so that programs without secrets never look for seals.
var usedSealer atomic.Pointer[sealer]

var theSealer = sync.OnceValue(func() *sealer {
	var key [32]byte
	var name [8]byte
	_, _ = rand.Read(key[:]) // never fails
	_, _ = rand.Read(name[:])
	block, err := aes.NewCipher(key[:])
	if err != nil { // the key has a good length
		panic(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	s := &sealer{aead: aead, mark: []byte(sealPrefix + hex.EncodeToString(name[:]) + ":")}
	usedSealer.Store(s)
	return s
})

func (s *sealer) seal(plain []byte) []byte {
	out := append([]byte(nil), s.mark...)
	out = base64.RawURLEncoding.AppendEncode(out, s.aead.Seal(nil, nil, plain, nil))
	return append(out, '"')
}

// hasSeals reports whether there is a seal of this process in a JSON text.
func hasSeals(data []byte) bool {
	s := usedSealer.Load()
	return s != nil && bytes.Contains(data, s.mark)
}

// openSeals replaces what this process has sealed by {"secret": value}. It costs next to nothing if there is no seal.
func openSeals(data []byte) ([]byte, error) {
	if !hasSeals(data) {
		return data, nil
	}
	s := usedSealer.Load()
	var out []byte
	for {
		before, sealed, found := bytes.Cut(data, s.mark)
		out = append(out, before...)
		if !found {
			return out, nil
		}
		end := bytes.IndexByte(sealed, '"')
		if end < 0 {
			return nil, errBrokenSeal
		}
		box, err := base64.RawURLEncoding.AppendDecode(nil, sealed[:end])
		if err != nil {
			return nil, errBrokenSeal
		}
		plain, err := s.aead.Open(nil, nil, box, nil)
		if err != nil {
			return nil, errBrokenSeal
		}
		if plain, err = openSeals(plain); err != nil { // a secret may hold others
			return nil, err
		}
		out = append(out, `{"`+secretMember+`":`...)
		out = append(append(out, plain...), '}')
		data = sealed[end+1:]
	}
}

var errBrokenSeal = fmt.Errorf("a sealed secret has been changed: hand over the Secret itself, not parts of its JSON")
