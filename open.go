package bellhop

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
)

var (
	openersMu sync.RWMutex
	openers   = map[string]func(ctx context.Context, address string) (Store, error){}
)

// Register makes a store known under the scheme of its addresses ("sqlite").
// Store packages call it when they are imported; it panics if the scheme is
// taken, as [database/sql.Register] does.
func Register(scheme string, open func(ctx context.Context, address string) (Store, error)) {
	openersMu.Lock()
	defer openersMu.Unlock()
	if _, taken := openers[scheme]; taken || open == nil {
		panic(fmt.Sprintf("bellhop: Register(%q): the scheme is taken, or open is nil", scheme))
	}
	openers[scheme] = open
}

// Schemes returns the schemes of the stores that are known, sorted.
func Schemes() []string {
	openersMu.RLock()
	defer openersMu.RUnlock()
	return slices.Sorted(maps.Keys(openers))
}

// Open opens the store at an address and returns a client on it:
//
//	sqlite:jobs.db                      a file beside the program
//	sqlite:///var/lib/app/jobs.db       a file anywhere
//	postgres://user:password@host/db    PostgreSQL
//	mysql://user:password@host/db       MySQL and MariaDB
//	redis://host:6379                   Redis; also rediss:, redis+sentinel:, redis+cluster:
//	memory:                             this process's memory, for tests
//	partition:parts.json                several stores as one, which the file names
//
// The package of the store must be imported:
//
//	import _ "github.com/gobellhop/bellhop/store/sqlite"
//
// Errors name the address with its password masked.
func Open(ctx context.Context, address string, opts ...Option) (*Client, error) {
	store, err := OpenStore(ctx, address)
	if err != nil {
		return nil, err
	}
	c, err := NewClient(store, opts...)
	if err != nil {
		_ = store.Close()
		return nil, err
	}
	return c, nil
}

// OpenStore opens the store at an address, without a client.
func OpenStore(ctx context.Context, address string) (Store, error) {
	scheme, _, found := strings.Cut(address, ":")
	openersMu.RLock()
	open := openers[scheme]
	openersMu.RUnlock()
	if open == nil || !found {
		return nil, fmt.Errorf("bellhop: open store %q: %s", MaskAddress(address), unknownScheme(scheme, found))
	}
	store, err := open(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("bellhop: open store %q: %w", MaskAddress(address), err)
	}
	return store, nil
}

func unknownScheme(scheme string, found bool) string {
	known := Schemes()
	if len(known) == 0 {
		return `no store is known: import one, for example _ "github.com/gobellhop/bellhop/store/sqlite"`
	}
	list := strings.Join(known, ":, ") + ":"
	if !found {
		return "an address begins with a scheme; known are " + list
	}
	for _, k := range known {
		if editDistance(strings.ToLower(scheme), k) <= 2 {
			return fmt.Sprintf("the scheme %.32q is unknown; did you mean %q? (known are %s)", scheme+":", k+":", list)
		}
	}
	return fmt.Sprintf("the scheme %.32q is unknown; known are %s (is the store's package imported?)", scheme+":", list)
}

// editDistance counts the single-letter changes between two short words.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

var (
	secretParameter = regexp.MustCompile(`(?i)\b((?:[a-z_]*(?:password|passwd|secret|token|key))\s*=\s*)('[^']*'|[^&\s]*)`)
	// innerLogin is a user and password in an address that is another's parameter, as it is or escaped.
	innerLogin = regexp.MustCompile(`(?i)((?::|%3a)(?:/|%2f){2})[^&\s]*(?:@|%40)`)
	// opaqueLogin is a user and password before a host where no // stands, as in the DSNs of some drivers.
	opaqueLogin = regexp.MustCompile(`^([^:/@]+):[^/].*@`)
)

// MaskAddress returns an address fit for messages: without the password, in
// the place before the host or among the parameters. What may be a password is
// taken for one.
func MaskAddress(address string) string {
	u, err := url.Parse(address)
	scheme, rest, slashes := strings.Cut(address, "://")
	switch {
	case err == nil && u.User != nil:
		if _, has := u.User.Password(); has {
			u.User = url.UserPassword(u.User.Username(), "xxxxx")
			address = u.String()
		}
	case slashes && (err != nil || u.Port() != "" && strings.Contains(u.Path+innerLogin.ReplaceAllString(u.RawQuery, "")+u.Fragment, "@")):
		// Not parseable, or parsed otherwise than it was meant (a password may
		// begin with digits and a slash): keep only what follows the last @.
		if i := strings.LastIndex(rest, "@"); i >= 0 {
			address = scheme + "://xxxxx@" + rest[i+1:]
		}
	case !slashes:
		address = opaqueLogin.ReplaceAllString(address, "${1}:xxxxx@")
	}
	address, parameters, some := strings.Cut(address, "?")
	if some {
		address += "?" + innerLogin.ReplaceAllString(parameters, "${1}xxxxx@")
	}
	return CleanText(secretParameter.ReplaceAllString(address, "${1}xxxxx"), 512)
}
