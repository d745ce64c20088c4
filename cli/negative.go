package cli

import (
	"strings"

	"github.com/alecthomas/kong"
)

// negative rewrites a command line in which something begins with "-" and a digit, which the parser would take for a flag: after a flag that
// takes a value it is that value, as in "--priority -3"; else it and the arguments after it come last, behind "--".
func negative(model *kong.Application, args []string) []string {
	takes := takingValues(model)
	var before, flags, last []string // what came before the first such argument stays where it is
	for i := 0; i < len(args); i++ {
		arg, list := args[i], &before
		isFlag := strings.HasPrefix(arg, "-") && arg != "-" && !isNumber(arg)
		switch {
		case arg == "--":
			last = append(last, args[i+1:]...)
			if len(last) == len(args)-i-1 { // as it was
				return append(before, args[i:]...)
			}
			i = len(args)
			continue
		case isFlag && len(last) > 0:
			list = &flags
		case isNumber(arg), len(last) > 0:
			list = &last
		}
		if isFlag && takes[arg] && i+1 < len(args) {
			i++
			if isNumber(args[i]) {
				arg += "=" + args[i]
			} else {
				*list = append(*list, arg)
				arg = args[i]
			}
		}
		*list = append(*list, arg)
	}
	if len(last) == 0 {
		return before
	}
	return append(append(append(before, flags...), "--"), last...)
}

// takingValues returns the flags that take a value, as they are written.
func takingValues(model *kong.Application) map[string]bool {
	takes := map[string]bool{}
	_ = kong.Visit(model, func(node kong.Visitable, next kong.Next) error { // what it is given never fails
		if f, is := node.(*kong.Flag); is {
			takes["--"+f.Name] = !f.IsBool()
		}
		return next(nil)
	})
	return takes
}

// emptyFlag returns the first flag that is given an empty value; empty if there is none. That is mostly a variable of a script that is not
// set, and to go on as if the flag had not been given would be another thing than is meant: jobs of all queues, a job without its id.
func emptyFlag(model *kong.Application, args []string) string {
	takes := takingValues(model)
	for i := 0; i < len(args) && args[i] != "--"; i++ {
		if name, value, joined := strings.Cut(args[i], "="); joined && value == "" && takes[name] {
			return name
		}
		if takes[args[i]] && i+1 < len(args) {
			if i++; args[i] == "" {
				return args[i-1]
			}
		}
	}
	return ""
}

// isNumber reports whether an argument begins as a negative number or length of time does.
func isNumber(arg string) bool {
	return len(arg) > 1 && arg[0] == '-' && (arg[1] >= '0' && arg[1] <= '9' || arg[1] == '.')
}
