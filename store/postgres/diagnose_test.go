package postgres_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/postgres"
)

// found returns the finding on a subject.
func found(t *testing.T, s *postgres.Store, subject string) bellhop.Finding {
	t.Helper()
	list, err := s.Diagnose(t.Context())
	must(t, err)
	for _, f := range list {
		if f.Subject == subject {
			return f
		}
	}
	t.Fatalf("there is no finding on %q in %+v", subject, list)
	return bellhop.Finding{}
}

func TestDiagnose(t *testing.T) {
	s := newStore(t)
	list, err := s.Diagnose(t.Context())
	must(t, err)
	for _, f := range list {
		if f.Level == "problem" && f.Subject != "durability" { // the test server does without fsync
			t.Errorf("a sound store has %+v", f)
		}
	}
	for _, subject := range []string{"server", "rights", "old snapshot", "dead rows", "clock", "notifications"} {
		if f := found(t, s, subject); f.Level != "ok" {
			t.Errorf("%+v", f)
		}
	}
}

// What is wrong is found, and who is to blame.
func TestDiagnoseTrouble(t *testing.T) {
	server := testservers.StartPostgres(t)
	s := open(t, testservers.With(server.Address, "migrate", "auto"))
	admin := connect(t.Context(), t, server.Address)
	defer admin.Close(context.Background())
	for _, sql := range []string{
		"create role app login password 'app'", "grant usage on schema public to app", "grant select on all tables in schema public to app",
		"grant insert, update, delete on bellhop_jobs to app", "alter system set default_transaction_read_only = on", "alter system set synchronous_commit = off", "select pg_reload_conf()",
	} {
		_, err := admin.Exec(t.Context(), sql)
		must(t, err)
	}
	poor := open(t, as(t, server.Address, "app"))
	if f := found(t, poor, "rights"); f.Level != "problem" || !strings.Contains(f.Detail, "bellhop_ready (delete)") || strings.Contains(f.Detail, "bellhop_jobs (") || !strings.Contains(f.Detail, "numbers (usage)") {
		t.Errorf("rights: %+v", f)
	}
	for deadline := time.Now().Add(hang); found(t, s, "server").Level != "problem"; {
		if time.Now().After(deadline) {
			t.Fatalf("a read-only server: %+v", found(t, s, "server"))
		}
	}
	if f := found(t, s, "durability"); f.Level == "ok" {
		t.Errorf("without synchronous_commit: %+v", f)
	}
}
