package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Authorize finds out whose a request is. A nil viewer without an error, or with a [Challenge], means a stranger, who is answered
// 401. An error that matches [ErrForbidden] means somebody who is known and may not come in: 403; a
// viewer beside it tells the audit who it was. Any other error means that
// it could not be found out, for example because a directory is down: 503, and the log tells.
//
// It is called by several goroutines at once, for every request, and must look at the request only.
type Authorize func(r *http.Request) (*Viewer, error)

// ErrForbidden says that somebody is known and may not come in.
var ErrForbidden = errors.New("this account may not come in")

// Challenge is the error by which an [Authorize] function says what a stranger should show: the value of the header
// WWW-Authenticate, such as `Basic realm="bellhop"`. Browsers ask for a password where the scheme is Basic.
type Challenge string

// Error returns what to show.
func (c Challenge) Error() string { return "show who you are: " + string(c) }

const (
	challengeBasic  Challenge = `Basic realm="bellhop", charset="UTF-8"`
	challengeBearer Challenge = `Bearer realm="bellhop"`
)

// secret is the hash of a password or token. Hashes are compared, in constant time, so that the time it takes tells neither the
// secret's length nor its beginning.
type secret [sha256.Size]byte

func newSecret(text string) secret { return sha256.Sum256([]byte(text)) }

func (s secret) is(text string) bool {
	given := sha256.Sum256([]byte(text))
	return subtle.ConstantTimeCompare(s[:], given[:]) == 1
}

// Basic lets in who shows this user and password by HTTP basic authentication; the viewer's name is the user. An empty password
// lets nobody in.
func Basic(user, password string, role Role) Authorize {
	wantUser, wantPassword, usable := newSecret(user), newSecret(password), password != ""
	return func(r *http.Request) (*Viewer, error) {
		givenUser, givenPassword, given := basicAuth(r)
		rightUser, rightPassword := wantUser.is(givenUser), wantPassword.is(givenPassword)
		if !usable || !given || !rightUser || !rightPassword {
			return nil, challengeBasic
		}
		return &Viewer{Name: user, Role: role}, nil
	}
}

// Bearer lets in who shows this token in the header "Authorization: Bearer …"; the viewer's name is "token". An empty token lets
// nobody in.
func Bearer(token string, role Role) Authorize {
	want, usable := newSecret(token), token != ""
	return func(r *http.Request) (*Viewer, error) {
		given, ok := bearerToken(r)
		if !want.is(given) || !ok || !usable {
			return nil, challengeBearer
		}
		return &Viewer{Name: "token", Role: role}, nil
	}
}

// basicAuth returns what one header "Authorization: Basic …" gives.
func basicAuth(r *http.Request) (user, password string, ok bool) {
	if len(r.Header.Values("Authorization")) != 1 {
		return "", "", false
	}
	return r.BasicAuth()
}

// bearerToken returns what one header "Authorization: Bearer …" gives.
func bearerToken(r *http.Request) (string, bool) {
	given := r.Header.Values("Authorization")
	if len(given) != 1 {
		return "", false
	}
	scheme, token, _ := strings.Cut(given[0], " ")
	return strings.TrimSpace(token), strings.EqualFold(scheme, "Bearer")
}

// TrustedHeader lets in whom a proxy in front has recognised: the proxy names him in a header, and lookup returns the viewer of
// that name, or nil for a stranger. The header counts only if the connection itself comes from one of the given networks, and only
// if it is given once; and the proxy must remove the header from what its own clients send, else they can be whoever they like.
func TrustedHeader(name string, from []netip.Prefix, lookup func(value string) *Viewer) Authorize {
	from = slices.Clone(from)
	return func(r *http.Request) (*Viewer, error) {
		given := r.Header.Values(name)
		if peer := peerOf(r); len(given) != 1 || given[0] == "" || !within(from, peer) {
			return nil, nil
		}
		return lookup(given[0]), nil
	}
}

// First asks one function after the other until one knows the viewer. An error that is no [Challenge] ends the search.
func First(all ...Authorize) Authorize {
	all = slices.Clone(all)
	return func(r *http.Request) (*Viewer, error) {
		var challenges []error
		for _, authorize := range all {
			v, err := authorize(r)
			var challenge Challenge
			switch {
			case v != nil && err == nil:
				return v, nil
			case errors.As(err, &challenge):
				challenges = append(challenges, err)
			case err != nil:
				return nil, err
			}
		}
		return nil, errors.Join(challenges...)
	}
}

// Everyone lets everybody in with a role. It is for servers that only their own machine can reach, or that others guard.
func Everyone(role Role) Authorize {
	return func(*http.Request) (*Viewer, error) { return &Viewer{Name: "everyone", Role: role}, nil }
}

// challengesOf returns all challenges in an error's tree.
func challengesOf(err error) []string {
	var challenge Challenge
	switch e := err.(type) { // by hand, since errors.As finds one only
	case interface{ Unwrap() []error }:
		var all []string
		for _, inner := range e.Unwrap() {
			all = append(all, challengesOf(inner)...)
		}
		return slices.Compact(all)
	default:
		if errors.As(err, &challenge) {
			return []string{string(challenge)}
		}
	}
	return nil
}
