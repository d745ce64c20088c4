package rig

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// Turn is a command of the machine's owner that runs round each measurement: it stops what would disturb, or waits for its turn
// with others who measure.
type Turn struct {
	cmd *exec.Cmd
	in  io.Closer
}

// TakeTurn starts a shell command and waits until it has printed a line. An empty command does nothing.
func TakeTurn(ctx context.Context, command string) (*Turn, error) {
	t := &Turn{}
	if command == "" {
		return t, nil
	}
	t.cmd = exec.CommandContext(ctx, "sh", "-c", command)
	var errors strings.Builder
	t.cmd.Stderr = &errors
	in, err := t.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := t.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := t.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %q: %w", command, err)
	}
	t.in = in
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.End()
		return nil, fmt.Errorf("%q ended before it printed a line: %s", command, lastLine(errors.String()))
	}
	return t, nil
}

// End closes the command's standard input, which tells it to end, and waits for that.
func (t *Turn) End() {
	if t.cmd != nil {
		_ = t.in.Close()
		_ = t.cmd.Wait()
	}
}
