package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/alecthomas/kong"
	"github.com/redis/go-redis/v9/logging"
)

// The driver of Redis prints to the standard error what its calls return as errors anyway. A command says it once.
func init() { logging.Disable() }

// Main runs the command that args name, without the program's own name before them, and returns the exit code. env looks up
// environment variables, as [os.Getenv] does. When ctx ends, or the process is asked to stop by a signal, commands end; serve
// and work drain first.
func Main(ctx context.Context, args []string, env func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{env: env, in: inStream(stdin), out: outStream(stdout, env), err: outStream(stderr, env), now: time.Now}
	printed := &keptError{Writer: stdout}
	a.out.Writer = printed
	a.host, _ = os.Hostname() // without a name it stays empty
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer catchSignal(cancel)()
	code := a.run(ctx, args)
	if err := printed.first(); err != nil && code == exitOK { // a script must not go on with half an answer
		a.complain(fmt.Errorf("what was asked for was done, but the standard output did not take all of the answer: %w", err))
		return exitFailed
	}
	return code
}

// catchSignal cancels at the first SIGINT or SIGTERM. A second one does what it would do without us, unless a command
// listens to it as well.
func catchSignal(cancel context.CancelCauseFunc) (stop func()) {
	first, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(first, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-first:
			cancel(errInterrupted)
			signal.Stop(first)
		case <-done:
		}
	}()
	return func() {
		signal.Stop(first)
		close(done)
	}
}

// run parses the arguments and runs the command.
func (a *app) run(ctx context.Context, args []string) (code int) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case exited: // kong has printed the help
			code = int(v)
		default:
			panic(v)
		}
	}()
	a.origin = map[string]string{}
	var g grammar
	parser, err := kong.New(&g,
		kong.Name("bellhop"),
		kong.Description("Background jobs for web applications: a server, a worker, and tools to look after jobs."),
		kong.Help(printHelp),
		kong.Writers(a.out, a.err),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 100}),
		kong.ValueFormatter(helpText),
		kong.ExplicitGroups(groups),
		kong.Vars{"store": defaultStore},
		kong.Resolvers(a.fromEnv()),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(a),
	)
	if err != nil { // the grammar is broken
		panic(err)
	}
	for i, arg := range args {
		if !utf8.ValidString(arg) { // the parser would replace what is not valid, and change what is meant
			a.complain(fmt.Errorf("argument %d, %.64q, is not valid UTF-8", i+1, arg))
			return exitRefused
		}
	}
	if len(args) == 0 {
		defer func() { code = exitUsage }()
		args = []string{"--help"}
	}
	if flag := emptyFlag(parser.Model, args); flag != "" {
		a.complain(fmt.Errorf("%s: it is empty: leave it out or give a value", flag))
		return exitUsage
	}
	chosen, err := parser.Parse(negative(parser.Model, args))
	if err != nil {
		a.complain(fmt.Errorf("%w%s", err, a.seeHelp(err)))
		return exitUsage
	}
	a.json, a.store = g.JSON, g.Store
	a.hideAddress(a.store)
	err = chosen.Run()
	if err != nil {
		a.complain(explain(ctx, err))
	}
	return codeOf(ctx, err)
}

// printHelp prints the help; that of the whole program ends with the exit codes.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	err := kong.DefaultHelpPrinter(options, ctx)
	if err == nil && ctx.Selected() == nil {
		_, err = fmt.Fprintf(ctx.Stdout, "\n%s\n", exitTable)
	}
	return err
}

// exited carries the exit code out of the parser.
type exited int

// fromEnv gives flags without a value on the command line the first environment variable of their tag "from" that is set.
func (a *app) fromEnv() kong.Resolver {
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		for name := range strings.SplitSeq(flag.Tag.Get("from"), ",") {
			if value := a.env(name); name != "" && value != "" {
				a.origin[flag.Name] = name
				return value, nil
			}
		}
		return nil, nil
	})
}

// helpText adds the environment variables to a flag's help.
func helpText(v *kong.Value) string {
	from := v.Tag.Get("from")
	if from == "" {
		return v.Help
	}
	return fmt.Sprintf("%s [%s]", v.Help, strings.ReplaceAll(from, ",", ", "))
}

// seeHelp points to the help of the command that was meant.
func (a *app) seeHelp(err error) string {
	command := "bellhop"
	var wrong *kong.ParseError
	if errors.As(err, &wrong) && wrong.Context != nil {
		if node := wrong.Context.Selected(); node != nil {
			command = node.FullPath()
		}
	}
	return fmt.Sprintf("; %s --help tells more", command)
}

var addressPassword = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s:/@]*:)[^\s@]+@`)

// maskAddresses takes the passwords out of whatever looks like an address.
func maskAddresses(text string) string { return addressPassword.ReplaceAllString(text, "${1}xxxxx@") }

// explain replaces the many forms of an interruption by one.
func explain(ctx context.Context, err error) error {
	if codeOf(ctx, err) == exitInterrupted {
		return fmt.Errorf("%w: what was done before stays done", errInterrupted)
	}
	return err
}
