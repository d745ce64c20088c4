package loop

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A trouble that lasts is said once a minute, with how often it came since; its end is said once; one that comes and goes within a
// minute is said no more often; a try that was cancelled is none, and one whose time was over is.
func TestTroubleIsSaidOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		plain := func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
		trouble := NewTrouble(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: plain})), "down", "up", "op", "beat")
		said := func(want ...string) {
			t.Helper()
			if got := strings.TrimSuffix(out.String(), "\n"); got != strings.Join(want, "\n") {
				t.Errorf("said:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
			}
			out.Reset()
		}
		ctx, cancel := context.WithCancel(t.Context())
		late, end := context.WithTimeout(t.Context(), time.Nanosecond)
		defer end()
		broken := errors.New("broken")

		trouble.Over()
		said("")
		for range 100 {
			trouble.Note(ctx, broken)
			time.Sleep(time.Second) // of the bubble
		}
		said(`level=ERROR msg=down op=beat error=broken times=1`, `level=ERROR msg=down op=beat error=broken times=60`)
		trouble.Over()
		trouble.Over()
		said(`level=INFO msg=up op=beat after=1m40s`)

		trouble.Note(ctx, broken) // within the minute
		trouble.Over()
		said("")

		time.Sleep(time.Minute) // of the bubble
		cancel()
		trouble.Note(ctx, ctx.Err())
		said("")
		trouble.Note(late, late.Err())
		said(`level=ERROR msg=down op=beat error="context deadline exceeded" times=1`)
	})
}

// What has no end is told of by times alone.
func TestTroubleWithoutEnd(t *testing.T) {
	var out bytes.Buffer
	trouble := NewTrouble(slog.New(slog.NewTextHandler(&out, nil)), "down", "")
	trouble.Note(t.Context(), errors.New("broken"))
	trouble.Over()
	if n := strings.Count(out.String(), "\n"); n != 1 {
		t.Errorf("%d lines, want 1:\n%s", n, out.String())
	}
}
