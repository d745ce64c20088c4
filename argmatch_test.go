package bellhop_test

import (
	"errors"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gobellhop/bellhop"
)

func TestArgMatch(t *testing.T) {
	const args = ` {"user":{"id":9007199254740993,"name":"a\"b\u00e9","na.me":1,"on":true,"off":null,"x":-0.50},
		"items":[{"sku":"A-1"},{"sku":"A-2"},[7]],"n":1,"n":2,"":"empty","10":"ten","e":[],"big":123456789012345678901234567890} `
	for condition, want := range map[string]bool{
		"user.id=9007199254740993": true, "user.id=9007199254740992": false, "user.id=9007199254740993.0": true,
		"user.id=9.007199254740993e15": true, "user.id=": false, "user.id=9007199254740993 ": false,
		`user.name=a"bé`: true, "user.name=a": false, `user.na\.me=1`: true, "user.na.me=1": false,
		"user.on=true": true, "user.on=t": false, "user.off=null": true, "user.off=": false,
		"user.x=-0.5": true, "user.x=-.5": false, "user.x=-5e-1": true, "user.x=0.5": false,
		"items.0.sku=A-1": true, "items.1.sku=A-2": true, "items.01.sku=A-2": false, "items.2.0=7": true, "items.3=7": false,
		"items.-1=7": false, "items.sku=A-1": false, "items.0=A-1": false, "e.0=1": false,
		"n=2": true, "n=1": false, ".=empty": true, "10=ten": true, "none=1": false, "user=1": false, "n.x=2": false,
		"big=123456789012345678901234567890": true, "big=1.2345678901234567890123456789e29": true, "big=123456789012345678901234567891": false,
	} {
		m, err := bellhop.ParseArgMatch(condition)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Matches([]byte(args)); got != want {
			t.Errorf("%s: matches is %v, want %v", condition, got, want)
		}
		if m.String() != condition {
			t.Errorf("%q reads back as %q", condition, m.String())
		}
	}
	for _, args := range []string{"", "{", `{"n"`, `{"n":`, `{"n":1,`, "[", `{"a":{"n":2}}`, "2"} { // none of them, whole or broken, has it
		if (&bellhop.ArgMatch{Path: "n", Value: "2"}).Matches([]byte(args)) {
			t.Errorf("%q matches", args)
		}
	}
	if !(&bellhop.ArgMatch{Value: "2"}).Matches([]byte(" 2.0 ")) {
		t.Error("an empty path is not the whole")
	}
	if _, err := bellhop.ParseArgMatch("user.id"); !errors.Is(err, bellhop.ErrInvalid) {
		t.Errorf("a condition without a value: %v", err)
	}
}

// TestArgMatchNumbers compares with arithmetic of any precision.
func TestArgMatchNumbers(t *testing.T) {
	number := rapid.StringMatching(`-?(0|[1-9][0-9]{0,3})(\.[0-9]{1,3})?([eE][+-]?[0-3])?`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := number.Draw(t, "a"), number.Draw(t, "b")
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		if got := (&bellhop.ArgMatch{Value: b}).Matches([]byte(a)); got != (x.Cmp(y) == 0) {
			t.Fatalf("%s matches %s: %v", a, b, got)
		}
	})
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"1e999999999999999999999", "1e999999999999999999999", true},
		{"1e999999999999999999999", "10e999999999999999999998", false},
		{"0e999999999999999999999", "-0", true},
		{"1" + strings.Repeat("0", 100), "1e100", true},
	} {
		if got := (&bellhop.ArgMatch{Value: c.b}).Matches([]byte(c.a)); got != c.want {
			t.Errorf("%.20s matches %.20s: %v", c.a, c.b, got)
		}
	}
}

func TestFilterCheck(t *testing.T) {
	for want, f := range map[string]bellhop.Filter{
		"":           {Fingerprint: "0123456789abcdef", Args: make([]bellhop.ArgMatch, bellhop.MaxArgMatches)},
		"length":     {Fingerprint: "0123"},
		"upper case": {Fingerprint: "0123456789ABCDEF"},
		"too many":   {Args: make([]bellhop.ArgMatch, bellhop.MaxArgMatches+1)},
	} {
		if err := f.Check(); (want != "") != errors.Is(err, bellhop.ErrInvalid) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
