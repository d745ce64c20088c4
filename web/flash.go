package web

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
)

// flash is what the page after an action says about it, once. It travels in a cookie of this dashboard's paths that lives for
// seconds, so that any process may serve that page. It is signed, for the viewer: a cookie that another site of the same domain has set
// says nothing.
type flash struct {
	Text string `json:"t"`
	Bad  bool   `json:"b,omitempty"`
	At   int64  `json:"at"` // in seconds since 1970
}

const (
	flashCookie = "bellhop_said"
	flashLives  = 15 * time.Second
	flashMost   = 4096 // bytes of the cookie
)

// keySpace and keyName are the record of the key that all processes which show this store sign with.
const keySpace, keyName = "web", "key"

// signer has the key, once it was needed.
type signer struct {
	mu  sync.Mutex
	key []byte
}

// of returns the store's key, and makes one if there is none.
func (k *signer) of(ctx context.Context, store bellhop.Store) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.key == nil {
		found, err := store.Records(ctx, &bellhop.RecordQuery{Space: keySpace, Keys: []string{keyName}})
		if err != nil {
			return nil, fmt.Errorf("read the dashboard's key: %w", err)
		}
		if len(found) > 0 && len(found[0].Value) == sha256.Size {
			k.key = found[0].Value
			break
		}
		w := bellhop.RecordWrite{Space: keySpace, Key: keyName, Value: make([]byte, sha256.Size)}
		if len(found) > 0 {
			w.Expect = found[0].Version
		}
		_, _ = rand.Read(w.Value) // never fails
		if err := store.Put(ctx, []bellhop.RecordWrite{w}); err != nil && !errors.Is(err, bellhop.ErrConflict) {
			return nil, fmt.Errorf("write the dashboard's key: %w", err)
		}
	}
	return k.key, nil
}

// sign returns what a flash's bytes are signed with for the viewer; nil if the store does not give the key.
func (v *view) sign(body []byte) []byte {
	ctx, cancel := storeContext(v.Request)
	defer cancel()
	key, err := v.s.signer.of(ctx, v.s.client.Store())
	if err != nil {
		v.s.log.Warn("what an action came to cannot be said on the next page", bellhop.AttrError, err)
		return nil
	}
	h := hmac.New(sha256.New, key)
	fmt.Fprintf(h, "flash %d %s %s", len(v.viewer.Name), v.viewer.Name, body)
	return h.Sum(nil)
}

func (v *view) setFlash(f *flash) {
	if f.Text == "" {
		return
	}
	f.Text, f.At = bellhop.CleanText(f.Text, 1024), time.Now().Unix()
	body, err := json.Marshal(f)
	if err != nil { // a string, a boolean and a number always encode
		panic(err)
	}
	sum := v.sign(body)
	if sum == nil {
		return
	}
	v.flashCookie(base64.RawURLEncoding.EncodeToString(append(sum, body...)), int(flashLives/time.Second))
}

func (v *view) flashCookie(value string, age int) {
	http.SetCookie(v.w, &http.Cookie{
		Name: flashCookie, Value: value, Path: v.s.opts.Prefix + "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: v.TLS != nil,
	})
}

// takeFlash returns what is to be said, and forgets it.
func (v *view) takeFlash() *flash {
	c, err := v.Cookie(flashCookie)
	if err != nil || v.viewer == nil {
		return nil
	}
	v.flashCookie("", -1)
	if len(c.Value) > flashMost {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil || len(raw) < sha256.Size {
		return nil
	}
	sum, body := raw[:sha256.Size], raw[sha256.Size:]
	f := &flash{}
	if !hmac.Equal(sum, v.sign(body)) || json.Unmarshal(body, f) != nil {
		return nil
	}
	if age := time.Since(time.Unix(f.At, 0)); age > 2*flashLives || age < -2*flashLives { // clocks of processes may differ
		return nil
	}
	return f
}
