package mailjob

import (
	"context"
	"errors"
	"fmt"
	"net/textproto"
	"strings"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/jobs/internal/builtin"
)

// Stage is how far the hand-over had come when it failed.
type Stage string

// The stages, in their order.
const (
	StageConnect   Stage = "connect"   // connection and greeting
	StageTLS       Stage = "tls"       // the change to TLS
	StageLogin     Stage = "login"     // name and password
	StageSender    Stage = "sender"    // MAIL FROM
	StageRecipient Stage = "recipient" // RCPT TO
	StageData      Stage = "data"      // the message itself
)

// SMTPError says where and why the hand-over failed. For rules such as
// [bellhop.RetryOn] with [bellhop.ErrorType]. [errors.Is] and [errors.As] find
// what went wrong on the connection.
type SMTPError struct {
	// Stage is how far it had come.
	Stage Stage
	// Code is the server's: 550. 0 if it gave no answer. With several refused
	// recipients it is that of the first that decided.
	Code int
	// Permanent says that no retry helps: the job is dead.
	Permanent bool
	fault     // the server's words or what went wrong, and the cause if there was no answer
}

// fault is an error's text, and its cause for [errors.Is] and [errors.As].
type fault = builtin.Fault

// Error returns one line: the stage, and the server's words or what went wrong.
func (e *SMTPError) Error() string { return string(e.Stage) + ": " + e.Text }

// failedAt makes an error of what failed at a stage.
func failedAt(stage Stage, err error) *SMTPError {
	var reply *textproto.Error
	if !errors.As(err, &reply) {
		return &SMTPError{Stage: stage, fault: fault{Text: err.Error(), Err: err}}
	}
	return &SMTPError{
		Stage: stage, Code: reply.Code, Permanent: permanent(stage, reply.Code),
		fault: fault{Text: fmt.Sprintf("%d %s", reply.Code, reply.Msg)},
	}
}

// permanent reports whether the server's answer says that this mail will never
// be taken. Before the sender is named, nothing is about the mail; and some
// codes are about the login wherever they come (RFC 4954, section 6).
func permanent(stage Stage, code int) bool {
	switch code {
	case 530, 534, 535, 538:
		return false
	}
	return code >= 500 && code <= 599 && (stage == StageSender || stage == StageRecipient || stage == StageData)
}

// refusal is a recipient that the server did not accept.
type refusal struct {
	address string
	err     *SMTPError
}

type refusals []refusal

// err sums up why a mail is given up before its data: for good if one
// recipient was refused for good.
func (r refusals) err(recipients int) error {
	decided := r[0].err
	for _, x := range r {
		if x.err.Permanent && !decided.Permanent {
			decided = x.err
		}
	}
	var words []string
	for _, x := range r {
		if len(words) == 5 {
			words = append(words, fmt.Sprintf("and %d more", len(r)-5))
			break
		}
		words = append(words, x.address+" "+x.err.Text)
	}
	text := strings.Join(words, "; ")
	if recipients > 1 {
		text = fmt.Sprintf("%d of %d were not accepted, so the mail went to nobody: %s", len(r), recipients, text)
	}
	return &SMTPError{Stage: StageRecipient, Code: decided.Code, Permanent: decided.Permanent, fault: fault{Text: text}}
}

// shownError is an error with a text that shows no secrets.
type shownError struct {
	text  string
	cause error
}

func (e *shownError) Error() string { return e.text }
func (e *shownError) Unwrap() error { return e.cause }

// verdict turns what went wrong into what the handler returns.
func (m *mailer) verdict(ctx context.Context, err error) error {
	var failure *SMTPError
	if cause := context.Cause(ctx); cause != nil && errors.As(err, &failure) && failure.Code == 0 {
		err = &SMTPError{Stage: failure.Stage, fault: fault{Text: cause.Error(), Err: cause}}
	}
	text := m.address + ": " + err.Error()
	for _, secret := range m.hidden {
		text = strings.ReplaceAll(text, secret, "xxxxx")
	}
	shown := &shownError{text: bellhop.CleanText(strings.Join(strings.Fields(bellhop.CleanText(text, 8<<10)), " "), 1<<10), cause: err}
	if errors.As(err, &failure) && failure.Permanent {
		return bellhop.Dead(shown)
	}
	return shown
}
