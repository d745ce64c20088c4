package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// foreign finds and prepares the programs of other languages: it installs the packages that package.json pins into a cache folder,
// beside copies of the programs.
type foreign struct {
	source, cache string
	// offline uses packages only if they are installed already.
	offline    bool
	node, ruby error
	prepared   bool
}

// prepare looks for what the programs need; notes say in a line each what is left out.
func (f *foreign) prepare() (notes []string) {
	if f.prepared {
		return nil
	}
	f.prepared = true
	if f.node = f.prepareNode(); f.node != nil {
		notes = append(notes, "graphile-worker and BullMQ are left out: "+f.node.Error())
	}
	if out, err := exec.Command("ruby", "-e", `require "sidekiq"`).CombinedOutput(); err != nil {
		f.ruby = errors.New("no Ruby with Sidekiq here: apt-get install ruby-sidekiq")
		notes = append(notes, "Sidekiq is left out: "+f.ruby.Error()+firstLine(out))
	}
	return notes
}

func (f *foreign) prepareNode() error {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is not there", program)
		}
	}
	wanted, err := os.ReadFile(filepath.Join(f.source, "package.json"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.cache, 0o755); err != nil {
		return err
	}
	scripts, err := filepath.Glob(filepath.Join(f.source, "*.mjs"))
	if err != nil {
		return err
	}
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err == nil {
			err = os.WriteFile(filepath.Join(f.cache, filepath.Base(script)), text, 0o644)
		}
		if err != nil {
			return err
		}
	}
	manifest, stamp := filepath.Join(f.cache, "package.json"), filepath.Join(f.cache, "node_modules", ".bench-installed")
	if has, err := os.ReadFile(stamp); err == nil && string(has) == string(wanted) {
		return nil
	}
	if f.offline {
		return errors.New("a short run installs no packages")
	}
	if err := os.WriteFile(manifest, wanted, 0o644); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1")
	cmd.Dir = f.cache
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm install failed: %w%s", err, firstLine(out))
	}
	return os.WriteFile(stamp, wanted, 0o644)
}

// command returns how a program is started: its interpreter, and the program with its arguments.
func (f *foreign) command(program string) (string, []string, error) {
	fields := strings.Fields(program)
	if strings.HasSuffix(fields[0], ".rb") {
		return "ruby", append([]string{filepath.Join(f.source, fields[0])}, fields[1:]...), f.ruby
	}
	return "node", append([]string{filepath.Join(f.cache, fields[0])}, fields[1:]...), f.node
}

// runs reports whether a program can run here.
func (f *foreign) runs(program string) bool {
	_, _, err := f.command(program)
	return err == nil
}

func firstLine(out []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if line == "" {
		return ""
	}
	return " (" + line + ")"
}
