package redact

import (
	"slices"
	"strings"
	"unicode"

	"github.com/gobellhop/bellhop"
)

// maxName is how many bytes of a name are looked at.
const maxName = 256

var (
	// anywhere are parts that make a name a secret's wherever they stand in it, written together and in small letters.
	anywhere = []string{
		"password", "passwd", "passphrase", "passcode", "secret", "credential", "apikey", "accesskey", "privatekey", "signingkey",
		"encryptionkey", "accountkey", "authkey", "authorization", "authtoken", "accesstoken", "refreshtoken", "idtoken", "cookie",
		"bearer", "connectionstring", "sessionid", "sessionkey", "cardnumber", "creditcard", "securitycode", "onetimecode",
	}
	// words make a name a secret's if they are one of its words.
	words = []string{"token", "tokens", "pwd", "otp", "cvv", "cvc", "jwt", "dsn", "ssn", "csrf", "xsrf", "pem"}
	// last make a name a secret's if they are its last word.
	last = []string{"auth", "pass", "pin"}

	// harmless are last words of names that speak about a secret without telling it: token_type, password_changed_at.
	harmless = []string{
		"count", "type", "kind", "name", "length", "size", "limit", "budget", "usage", "used", "expires", "expiry", "expiration", "ttl", "at", "in",
		"endpoint", "policy", "algorithm", "version", "required", "enabled", "changed", "updated", "status",
	}
	// counted are words by which "tokens" are those of a language model, which are counted.
	counted = []string{"max", "min", "num", "total", "prompt", "completion", "input", "output", "cached", "reasoning", "remaining", "budget", "per"}
)

// Secret reports whether a name looks like that of a secret: "password", "apiKey", "X-Auth-Token", "DB_PASSWORD". It errs on the
// side of hiding, but for names that tell something about a secret, such as "token_type" and "max_tokens".
func Secret(name string) bool {
	if len(name) > maxName {
		name = name[:maxName]
	}
	split := wordsOf(name)
	if len(split) == 0 {
		return false
	}
	final := split[len(split)-1]
	if len(split) > 1 && slices.Contains(harmless, final) {
		return false
	}
	if slices.Contains(last, final) {
		return true
	}
	for _, w := range split {
		switch {
		case w == "tokens" && slices.ContainsFunc(split, func(w string) bool { return slices.Contains(counted, w) }):
		case slices.Contains(words, w):
			return true
		}
	}
	together := strings.Join(split, "")
	return slices.ContainsFunc(anywhere, func(part string) bool {
		at := strings.Index(together, part)
		return at >= 0 && !strings.HasPrefix(together[at:], "secretar")
	})
}

// wordsOf splits a name at what is no letter, and where a capital begins a word, and returns the words in small letters.
func wordsOf(name string) (split []string) {
	letters := []rune(name)
	from := 0
	end := func(to int) {
		if to > from {
			split = append(split, strings.ToLower(string(letters[from:to])))
		}
	}
	for i, r := range letters {
		switch {
		case !unicode.IsLetter(r):
			end(i)
			from = i + 1
		case i > from && unicode.IsUpper(r) && (unicode.IsLower(letters[i-1]) || i+1 < len(letters) && unicode.IsLower(letters[i+1])):
			end(i)
			from = i
		}
	}
	end(len(letters))
	return split
}

// Asks reports whether a filter has conditions on the values of secrets: by such, asked often enough, a secret can be found out.
func Asks(f *bellhop.Filter) bool {
	return slices.ContainsFunc(f.Args, func(m bellhop.ArgMatch) bool { return SecretPath(m.Path) })
}

// Filter returns a filter in which [Mark] stands for values of secrets that it looks for: for people to read, not to select by.
func Filter(f bellhop.Filter) bellhop.Filter {
	f.Text, f.Error, f.Args = Text(f.Text), Text(f.Error), slices.Clone(f.Args)
	for i := range f.Args {
		if SecretPath(f.Args[i].Path) {
			f.Args[i].Value = Mark
		}
	}
	return f
}

// SecretPath reports whether a dotted path into arguments leads to a secret.
func SecretPath(path string) bool {
	for name := range strings.SplitSeq(path, ".") {
		if Secret(name) {
			return true
		}
	}
	return false
}
