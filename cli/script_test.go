package cli

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
	"github.com/google/go-cmp/cmp"
)

// The files in testdata are scripts: commands, and below each what it must print. A line begins with
//
//	$  a command; $DIR is a folder of the script's own, $1 the first id that was printed, and so on
//	<  a line of its standard input
//	|  a line of its standard output
//	!  a line of its standard error
//	=  its exit code, if that is not 0
//	@  a step of the world around it; see world_test.go
//	#  a comment
//
// Ids are numbered in the order in which they appear. With -update the outputs are written anew: look at the difference.
var update = flag.Bool("update", false, "write the outputs in testdata anew")

// A worldly store lives as long as its script, in a name that commands can open again and again.
var worlds sync.Map // name to *world

func init() {
	bellhop.Register("world", func(_ context.Context, address string) (bellhop.Store, error) {
		name, _, _ := strings.Cut(strings.TrimPrefix(address, "world:"), "?")
		w, ok := worlds.Load(name)
		if !ok {
			return nil, fmt.Errorf("there is no world %q", address)
		}
		return lasting{w.(*world).store}, nil
	})
}

// lasting is a store that outlives the commands that open it, as a file does.
type lasting struct{ *memory.Store }

func (lasting) Close() error { return nil }

func (s lasting) Capabilities() bellhop.Capabilities {
	c := s.Store.Capabilities()
	c.Shared = true
	return c
}

func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := newScript(t).play(string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("%s (-want +got), -update writes it anew:\n%s", file, diff)
			}
		})
	}
}

// script plays one file.
type script struct {
	*world
	t      *testing.T
	dir    string
	env    map[string]string
	real   bool   // the machine's clock counts, not that of the script
	width  int    // of the terminal; 0: none
	color  bool   // on it
	answer string // what is typed at the terminal
	ids    []string
}

func newScript(t *testing.T) *script {
	clock := bellhop.NewManualClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	w := &world{t: t, clock: clock, store: memory.New(memory.WithClock(clock))}
	worlds.Store(t.Name(), w)
	t.Cleanup(func() { worlds.Delete(t.Name()) })
	return &script{
		world: w, t: t, dir: memoryDir(t),
		env: map[string]string{"BELLHOP_STORE": "world:" + t.Name(), "USER": "anna"},
	}
}

// memoryDir returns a temporary folder in memory, if the system has such: on the disk of a busy machine a write may take so long that
// doctor warns of it.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "bellhop-script-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// play returns the script with the outputs as they were.
func (s *script) play(text string) string {
	var out strings.Builder
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		switch {
		case strings.HasPrefix(line, "$ "):
			var input []string
			for i+1 < len(lines) && strings.HasPrefix(lines[i+1], "<") {
				i++
				input = append(input, strings.TrimPrefix(strings.TrimPrefix(lines[i], "<"), " "))
			}
			out.WriteString(line + "\n")
			for _, l := range input {
				out.WriteString(strings.TrimRight("< "+l, " ") + "\n")
			}
			out.WriteString(s.command(line[2:], input))
		case strings.HasPrefix(line, "@ "):
			s.step(line[2:])
			out.WriteString(line + "\n")
		case strings.HasPrefix(line, "|"), strings.HasPrefix(line, "!"), strings.HasPrefix(line, "="):
		default:
			out.WriteString(line + "\n")
		}
	}
	return out.String()
}

// command runs a command and returns what it printed, in the form of the file.
func (s *script) command(line string, input []string) string {
	args := s.words(line)
	if len(args) == 0 || args[0] != "bellhop" {
		s.t.Fatalf("%s: scripts run bellhop alone", line)
	}
	var stdout, stderr bytes.Buffer
	in := stream{Reader: io.MultiReader()}
	if len(input) > 0 {
		in.Reader = strings.NewReader(s.expand(strings.Join(input, "\n") + "\n"))
	}
	a := &app{
		env: func(name string) string { return s.env[name] }, now: s.clock.Now, in: in,
		out: stream{Writer: &stdout, tty: s.width > 0, width: s.width, color: s.color},
		err: stream{Writer: &stderr},
	}
	if s.answer != "" {
		a.in, a.err.tty, a.err.width = stream{Reader: strings.NewReader(s.answer + "\n"), tty: true}, true, 80
	}
	if s.real {
		a.now = time.Now
	}
	code := a.run(s.t.Context(), args[1:])
	var out strings.Builder
	for _, part := range []struct{ mark, text string }{{"|", stdout.String()}, {"!", stderr.String()}} {
		if part.text == "" {
			continue
		}
		for l := range strings.SplitSeq(strings.TrimSuffix(s.normal(part.text), "\n"), "\n") {
			out.WriteString(strings.TrimRight(part.mark+" "+l, " ") + "\n")
		}
	}
	if code != 0 {
		fmt.Fprintf(&out, "= %d\n", code)
	}
	return out.String()
}

var (
	anyID   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	tailID  = regexp.MustCompile(`…[0-9a-f]{8}`)
	anyTime = regexp.MustCompile(`[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+Z`)
	anyTook = regexp.MustCompile(`"took_ms":[0-9]+|\([0-9.]+[µm]?s\)`)
	anyPing = regexp.MustCompile(`(answers in|a write took) [0-9.]+[µm]?s`)
	anySize = regexp.MustCompile(`[0-9.]+ [KM]iB`)
	oneID   = regexp.MustCompile(`\$([0-9]+)`)
	escape  = regexp.MustCompile("\x1b\\[([0-9;]*[A-Za-z])")
)

// normal takes out of an output what differs from run to run.
func (s *script) normal(text string) string {
	text = anyID.ReplaceAllStringFunc(text, func(id string) string {
		for i, known := range s.ids {
			if known == id {
				return fakeID(i)
			}
		}
		s.ids = append(s.ids, id)
		return fakeID(len(s.ids) - 1)
	})
	text = tailID.ReplaceAllStringFunc(text, func(tail string) string {
		for i, known := range s.ids {
			if strings.HasSuffix(known, strings.TrimPrefix(tail, "…")) {
				return "…" + fakeID(i)[28:]
			}
		}
		return tail
	})
	text = anyTime.ReplaceAllStringFunc(text, func(at string) string {
		if s.real {
			return "TIME"
		}
		return at
	})
	text = anyTook.ReplaceAllString(text, "TOOK")
	text = anyPing.ReplaceAllString(text, "$1 TIME")
	text = anySize.ReplaceAllString(text, "SIZE")
	text = strings.ReplaceAll(text, "known are "+strings.Join(bellhop.Schemes(), ":, ")+":", "known are STORES")
	text = escape.ReplaceAllString(text, "<$1>")
	text = strings.ReplaceAll(text, "\r", "<CR>")
	text = strings.ReplaceAll(text, s.t.Name(), "NAME")
	return strings.ReplaceAll(text, s.dir, "DIR")
}

func fakeID(i int) string { return fmt.Sprintf("00000000-0000-0000-0000-%012d", i+1) }

// expand fills in what a script cannot know.
func (s *script) expand(text string) string {
	text = strings.ReplaceAll(text, "$DIR", s.dir)
	return oneID.ReplaceAllStringFunc(text, func(ref string) string {
		n := 0
		if _, err := fmt.Sscanf(ref, "$%d", &n); err != nil || n < 1 || n > len(s.ids) {
			s.t.Fatalf("%s names no id that was printed", ref)
		}
		return s.ids[n-1]
	})
}

// words splits a line as a shell would, with single quotes, and double ones with \n, \x00 and so on.
func (s *script) words(line string) []string {
	var words []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimLeft(line, " ") {
		word := ""
		for line != "" && line[0] != ' ' {
			switch line[0] {
			case '\'':
				end := strings.IndexByte(line[1:], '\'')
				if end < 0 {
					s.t.Fatalf("a quote is not closed: %s", line)
				}
				word, line = word+line[1:end+1], line[end+2:]
			case '"':
				quoted, err := strconv.QuotedPrefix(line)
				s.must(err)
				text, err := strconv.Unquote(quoted)
				s.must(err)
				word, line = word+text, line[len(quoted):]
			default:
				word, line = word+line[:1], line[1:]
			}
		}
		words = append(words, s.expand(word))
	}
	return words
}
