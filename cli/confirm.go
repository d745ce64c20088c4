package cli

import (
	"bufio"
	"context"
	"fmt"
	"strings"
)

// confirm asks before something that cannot be taken back. Without a terminal there is nobody to ask, and --yes is needed.
func (a *app) confirm(ctx context.Context, yes bool, question string) error {
	if yes {
		return nil
	}
	if !a.in.tty || !a.err.tty {
		return refused("%s Nothing was done: nobody is there to ask, so say --yes if that is what you want", question)
	}
	fmt.Fprintf(a.err, "%s [y/N] ", oneLine(question))
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(a.in).ReadString('\n') // at the end of the input the answer is no
		answer <- line
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(a.err)
		return ctx.Err()
	case line := <-answer:
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return nil
		}
	}
	return refused("nothing was done: the answer was not yes")
}
