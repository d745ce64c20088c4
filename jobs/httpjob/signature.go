package httpjob

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The headers of Standard Webhooks (https://www.standardwebhooks.com).
const (
	headerWebhookID   = "Webhook-Id"
	headerWebhookTime = "Webhook-Timestamp"
	headerWebhookSign = "Webhook-Signature"
)

const (
	secretPrefix = "whsec_"
	minSecret    = 24 // bytes of key, as the specification asks for
)

// secrets are the keys that sign a request, each once.
type secrets [][]byte

// parseSecrets reads one or several secrets with spaces between them. Errors do not quote them.
func parseSecrets(text string) (secrets, error) {
	var keys secrets
	for i, word := range strings.Fields(text) {
		encoded, ok := strings.CutPrefix(word, secretPrefix)
		if !ok {
			return nil, fmt.Errorf("number %d does not begin with %s", i+1, secretPrefix)
		}
		key, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "="))
		if err != nil {
			return nil, fmt.Errorf("number %d is not base64 after %s", i+1, secretPrefix)
		}
		if len(key) < minSecret {
			return nil, fmt.Errorf("number %d has %d bytes: want at least %d", i+1, len(key), minSecret)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("it is empty: want " + secretPrefix + " and at least 24 bytes in base64")
	}
	return keys, nil
}

// sign returns the value of the signature header for a message.
func (s secrets) sign(id string, at time.Time, payload []byte) string {
	signatures := make([]string, len(s))
	for i, key := range s {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(payload)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " ")
}
