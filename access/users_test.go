package access_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop/access"
)

func TestUsers(t *testing.T) {
	users, err := access.ParseUsers(fmt.Sprintf("# people\nanna  correct-horse   admin # the boss\n\n\tbob\tsha256:%x read mail=act foo/bar.baz=none\r\nshop token-of-the-shop none mail=act",
		sha256.Sum256([]byte("sesame-street"))))
	if err != nil {
		t.Fatal(err)
	}
	d := &access.Door{Authorize: access.Users(users), Logins: -1}
	for _, c := range []struct {
		want   string
		header []string
	}{
		{"=bob", []string{"user", "bob"}},
		{"=bob", []string{"Authorization", "Bearer sesame-street"}},
		{"=anna", []string{"Authorization", "Bearer correct-horse"}},
		{"=shop", []string{"Authorization", "Bearer token-of-the-shop"}},
		{"unauthorized", []string{"user", "anna"}}, // with bob's password
		{"unauthorized", []string{"user", "carl"}},
		{"unauthorized", []string{"Authorization", "Bearer correct-hors"}},
		{"unauthorized", []string{"Authorization", "Bearer "}},
		{"unauthorized", nil},
	} {
		if got := admit(d, request(c.header...)); got != c.want {
			t.Errorf("%q is answered %s, want %s", c.header, got, c.want)
		}
	}
	v, _ := d.Admit(request("user", "bob"))
	if v.On("mail") != access.Act || v.On("foo/bar.baz") != access.None || v.On("other") != access.Read {
		t.Errorf("bob is %+v", v)
	}
	_, refusal := d.Admit(request())
	if len(refusal.Challenges) != 2 {
		t.Errorf("the challenges are %q", refusal.Challenges)
	}
}

func TestBadUsersAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "no user",
		"# nobody\n":                             "no user",
		"anna secret-password":                   "line 1: want a name",
		"\nanna short admin":                     "line 2: the password of anna is too short",
		"anna secret-password boss":              "unknown",
		"an:na secret-password admin":            "colon",
		"anna sha256:12 admin":                   "64 hexadecimal digits",
		"anna secret-password read mail":         "QUEUE=ROLE",
		"anna secret-password read mail=all":     "unknown",
		"anna secret-password read a b=act":      "QUEUE=ROLE",
		"anna secret-password read m=act m=read": "twice",
		"anna secret-password read\nanna secret-passw0rd read":  "line 2: the user \"anna\" is there already",
		"anna secret-password read\nbert secret-password admin": "line 2: another user has the same password",
		strings.Repeat("x", 100_000):                            "read the users",
	} {
		_, err := access.ParseUsers(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret-p") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.60q is answered %v, want %s", text, err, want)
		}
	}
}
