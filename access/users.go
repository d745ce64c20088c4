package access

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/gobellhop/bellhop"
)

// MinPassword is how many bytes a password in a list of users has at least.
const MinPassword = 8

// User is somebody who comes in with a password.
type User struct {
	// Name is the user's name, without colon and white space.
	Name string
	// Role is the role on all queues that Queues does not name, and Queues those on single ones.
	Role   Role
	Queues map[string]Role

	password secret
}

// ParseUsers reads a list of users: one a line, as name, password, role, and if wanted roles on single queues.
//
//	# name   password                role   queues
//	anna     correct-horse-battery   admin
//	shop     sha256:5994471abb01…    none   mail=act billing=read
//
// Words are separated by blanks; what follows a # at the beginning of a word is a comment. A password has at least [MinPassword]
// bytes; instead of it its SHA-256 hash may be given, in 64 hexadecimal digits after "sha256:": that protects long random passwords
// only, since short ones can be found by trying. The errors name the line, and hold no password.
func ParseUsers(text string) ([]User, error) {
	var users []User
	lines := bufio.NewScanner(strings.NewReader(text))
	names, passwords := map[string]bool{}, map[secret]bool{}
	for number := 1; lines.Scan(); number++ {
		words := strings.Fields(lines.Text())
		for i, w := range words {
			if strings.HasPrefix(w, "#") {
				words = words[:i]
				break
			}
		}
		if len(words) == 0 {
			continue
		}
		u, err := parseUser(words)
		switch {
		case err == nil && names[u.Name]:
			err = fmt.Errorf("the user %q is there already", u.Name)
		case err == nil && passwords[u.password]:
			err = fmt.Errorf("another user has the same password: as a token it must say whose it is")
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		names[u.Name], passwords[u.password] = true, true
		users = append(users, u)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the users: %w", err)
	}
	if len(users) == 0 {
		return nil, fmt.Errorf("there is no user in it: want lines such as \"anna a-long-password admin\"")
	}
	return users, nil
}

func parseUser(words []string) (u User, err error) {
	if len(words) < 3 {
		return u, fmt.Errorf("want a name, a password and a role: none, read, act or admin")
	}
	u.Name = words[0]
	if strings.Contains(u.Name, ":") || bellhop.CleanText(u.Name, 64) != u.Name {
		return u, fmt.Errorf("the name is not usable: want at most 64 bytes without a colon")
	}
	if digits, hashed := strings.CutPrefix(words[1], "sha256:"); hashed {
		hash, err := hex.DecodeString(digits)
		if err != nil || len(hash) != sha256.Size {
			return u, fmt.Errorf("the hash of the password of %s is not usable: want sha256: and 64 hexadecimal digits", u.Name)
		}
		u.password = secret(hash)
	} else {
		if len(words[1]) < MinPassword {
			return u, fmt.Errorf("the password of %s is too short: want at least %d bytes", u.Name, MinPassword)
		}
		u.password = newSecret(words[1])
	}
	if u.Role, err = ParseRole(words[2]); err != nil {
		return u, err
	}
	for _, word := range words[3:] {
		queue, name, found := strings.Cut(word, "=")
		if !found {
			return u, fmt.Errorf("%.64q is no role on a queue: want QUEUE=ROLE, such as mail=act", word)
		}
		if err := bellhop.CheckName("queue", queue); err != nil {
			return u, err
		}
		if _, twice := u.Queues[queue]; twice {
			return u, fmt.Errorf("the queue %s is there twice", queue)
		}
		role, err := ParseRole(name)
		if err != nil {
			return u, err
		}
		if u.Queues == nil {
			u.Queues = map[string]Role{}
		}
		u.Queues[queue] = role
	}
	return u, nil
}

// Users lets in who shows the name and password of one of the users by HTTP basic authentication, or the password alone as a
// bearer token: people do the one, programs the other.
func Users(users []User) Authorize {
	viewers := make([]*Viewer, len(users))
	for i, u := range users {
		viewers[i] = &Viewer{Name: u.Name, Role: u.Role, Queues: u.Queues}
	}
	return func(r *http.Request) (*Viewer, error) {
		name, password, basic := basicAuth(r)
		token, bearer := bearerToken(r)
		if bearer {
			password = token
		}
		var found *Viewer
		for i, u := range users { // all of them, so that the time it takes does not tell which
			right := u.password.is(password)
			if right && password != "" && (basic && u.Name == name || bearer) {
				found = viewers[i]
			}
		}
		if found == nil {
			return nil, errors.Join(challengeBasic, challengeBearer)
		}
		return found, nil
	}
}
