package builtin

import (
	"crypto/tls"
	"errors"
	"net"
)

// Fault is the body of an error whose text stands in place of its cause's, which may hold secrets. [errors.Is] and [errors.As]
// find the cause. To those who go down the chain, as the grouping of failures does, only what is telling shows: without that, a
// connection that was refused and one that was reset would both be a syscall.Errno, and one that ended early would have no name.
type Fault struct {
	// Text is the error in one line, fit to be shown.
	Text string
	// Err is the cause; nil if there is none.
	Err error
}

// Error returns the text.
func (f Fault) Error() string { return f.Text }

// Is reports whether the cause is target.
func (f Fault) Is(target error) bool { return errors.Is(f.Err, target) }

// As finds target in the cause.
func (f Fault) As(target any) bool { return errors.As(f.Err, target) }

// Unwrap returns the failed look-up of a name or check of a certificate that lies below; nil if it is neither.
func (f Fault) Unwrap() error {
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(f.Err, &name):
		return name
	case errors.As(f.Err, &certificate):
		return certificate
	}
	return nil
}
