package builtin_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/jobs/internal/builtin"
	"github.com/gobellhop/bellhop/store/memory"
)

type greeting struct {
	Name string `json:"name"`
}

func (g greeting) Check() error {
	if g.Name == "" {
		return errors.New("name: missing")
	}
	return nil
}

func TestArgumentsAreReadStrictly(t *testing.T) {
	client, err := bellhop.NewClient(memory.New())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close() //nolint:errcheck // a store in memory
	greet := builtin.Define[greeting]("greet", time.Minute, bellhop.Attempts(3))
	for args, want := range map[string]string{
		`{}`:                    "name: missing",
		`{"name":"a","nam":1}`:  `unknown field "nam"`,
		`{"name":1}`:            "do not fit the kind greet",
		`{"name":"a"}`:          "",
		"{\"name\" : \"b\" }\t": "",
	} {
		r, err := bellhop.Enqueue(t.Context(), client, greet.Raw([]byte(args)))
		switch {
		case want != "" && (!errors.Is(err, bellhop.ErrInvalid) || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", args, err, want)
		case want == "" && err != nil:
			t.Errorf("%s: %v", args, err)
		case want == "":
			if j, err := client.Get(t.Context(), r[0].ID); err != nil || j.Timeout != time.Minute || j.Attempts != 3 || string(j.Args) != args {
				t.Errorf("%s: %+v, %v", args, j, err)
			}
		}
	}
}

// callError is an error as the built-in kinds have them.
type callError struct{ builtin.Fault }

func TestFaultsAreGroupedByWhatIsTelling(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: fmt.Errorf("connect: %w", syscall.ECONNREFUSED)}
	for _, c := range []struct {
		cause error
		class string
	}{
		{nil, "*builtin_test.callError"},
		{io.EOF, "*builtin_test.callError"},
		{refused, "*builtin_test.callError"},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host"}}, "*net.DNSError"},
		{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, "x509.UnknownAuthorityError"},
		{fmt.Errorf("too slow: %w", context.DeadlineExceeded), "timeout"},
		{fmt.Errorf("%w: %w", bellhop.ErrTimeout, refused), "timeout"},
	} {
		err := fmt.Errorf("attempt: %w", &callError{builtin.Fault{Text: "it failed", Err: c.cause}})
		if f := bellhop.NewFailure(err); f.Class != c.class || f.Message != "attempt: it failed" {
			t.Errorf("%v: %+v, want the class %s", c.cause, f, c.class)
		}
		if c.cause != nil && !errors.Is(err, c.cause) {
			t.Errorf("%v is not found", c.cause)
		}
	}
	err := error(&callError{builtin.Fault{Text: "it failed", Err: refused}})
	var op *net.OpError
	if !errors.Is(err, syscall.ECONNREFUSED) || !errors.As(err, &op) || errors.Is(err, io.EOF) {
		t.Errorf("the cause of %v is not found, or another is", err)
	}
}
