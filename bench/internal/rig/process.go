package rig

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/gobellhop/bellhop/bench/internal/drill"
)

// Child is a process that carries out one order.
type Child struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	errors strings.Builder
}

// StartChild starts a process for an order and waits until it is ready.
func StartChild(ctx context.Context, path string, args, env []string) (*Child, error) {
	c := &Child{cmd: exec.CommandContext(ctx, path, args...)}
	c.cmd.Env = append(os.Environ(), env...)
	c.cmd.Stderr = &c.errors
	c.cmd.WaitDelay = 10 * time.Second
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReaderSize(out, 1<<20)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	r, err := c.read()
	if err == nil && !r.Ready {
		err = fmt.Errorf("it answered before it was ready")
	}
	if err != nil {
		c.kill()
		return nil, err
	}
	return c, nil
}

// CPU is the processor time of the process so far, as the system counts it.
func (c *Child) CPU() float64 { return familyCPU(c.cmd.Process.Pid) }

// Go lets the work begin and waits until the clock has stopped.
func (c *Child) Go() error {
	if err := c.word(); err != nil {
		return err
	}
	r, err := c.read()
	if err == nil && !r.Mark {
		err = fmt.Errorf("it answered before its clock had stopped")
	}
	if err != nil {
		c.kill()
	}
	return err
}

// End lets the process check its results, and waits for them and for its end.
func (c *Child) End() (drill.Reply, error) {
	if err := c.word(); err != nil {
		return drill.Reply{}, err
	}
	r, err := c.read()
	if err != nil {
		c.kill()
		return r, err
	}
	_ = c.in.Close()
	if err := c.cmd.Wait(); err != nil {
		return r, fmt.Errorf("%w: %s", err, lastLine(c.errors.String()))
	}
	return r, nil
}

func (c *Child) word() error {
	_, err := io.WriteString(c.in, "go\n")
	return err
}

// read returns the next line that is an answer; whatever else a program prints is passed over.
func (c *Child) read() (r drill.Reply, err error) {
	for {
		line, err := c.out.ReadBytes('\n')
		if err != nil {
			return r, fmt.Errorf("the process ended without an answer: %s", lastLine(c.errors.String()))
		}
		if len(line) > 0 && line[0] == '{' && json.Unmarshal(line, &r) == nil {
			if r.Fault != "" {
				return r, fmt.Errorf("%s", r.Fault)
			}
			return r, nil
		}
	}
}

func (c *Child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
