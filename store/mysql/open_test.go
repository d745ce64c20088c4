package mysql_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/pem"
	"errors"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/mysql"
	"github.com/gobellhop/bellhop/store/storetest"
)

// with returns an address that was changed.
func with(t testing.TB, address string, change func(u *url.URL)) string {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	change(u)
	return u.String()
}

// What is wrong with an address, or with the server, is said in one line without the password.
func TestOpenRefuses(t *testing.T) {
	if _, err := mysql.New(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "the pool is nil") {
		t.Errorf("without a pool: %v", err)
	}
	address := newDatabase(t)
	for name, c := range map[string]struct{ address, want string }{
		"wrong password":     {with(t, address, func(u *url.URL) { u.User = url.UserPassword("bellhop", "s3cret") }), "user or password are wrong"},
		"unknown user":       {with(t, address, func(u *url.URL) { u.User = url.UserPassword("nobody", "s3cret") }), "user or password are wrong"},
		"missing database":   {with(t, address, func(u *url.URL) { u.Path = "/missing" }), "create it"},
		"no right at all":    {with(t, address, func(u *url.URL) { u.User = url.UserPassword("stranger", "s3cret") }), "grant it the rights"},
		"nobody listens":     {"mysql://u:s3cret@127.0.0.1:1/jobs", "cannot be reached"},
		"no such socket":     {"mysql://u:s3cret@/jobs?socket=/missing.sock", "cannot be reached"},
		"no schema":          {address, "bellhop migrate up"},
		"no encryption":      {address + "?tls=on", "TLS"},
		"another scheme":     {"mysqlx://u@h/db", "want an address like"},
		"no database named":  {"mysql://u:s3cret@h", "names no database"},
		"two names":          {"mysql://u:s3cret@h/a/b", "no name of a database"},
		"no host":            {"mysql://u:s3cret@/db", "names no host"},
		"host and socket":    {"mysql://u@h/db?socket=/s", "leave one out"},
		"unknown parameter":  {"mysql://u@h/db?charset=latin1", `"charset" is unknown`},
		"wrong migrate":      {"mysql://u@h/db?migrate=yes", "want auto, off, only"},
		"one connection":     {"mysql://u@h/db?connections=1", "want a whole number from 2"},
		"no duration":        {"mysql://u@h/db?connect_timeout=5", "want a duration"},
		"files without tls":  {"mysql://u@h/db?tls_ca=/x", "add tls=on"},
		"missing file":       {"mysql://u@h/db?tls=on&tls_ca=/missing", "cannot be read"},
		"half a pair":        {"mysql://u@h/db?tls=on&tls_cert=/x", "belong together"},
		"unescaped password": {"mysql://u:s3cret%zz@h/db", "escape special characters"},
		"a # in the address": {"mysql://u@h/db#x", "%23"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "no right at all" {
				run(t, raw(t, address), "create user if not exists 'stranger'@'%' identified by 's3cret'")
			}
			s, err := mysql.Open(t.Context(), c.address)
			if err == nil {
				_ = s.Close()
				t.Fatal("it was opened")
			}
			if text := err.Error(); !strings.Contains(text, c.want) || strings.Contains(text, "\n") || strings.Contains(text, "s3cret") {
				t.Errorf("the error is %q; want %q in it, in one line, and no password", text, c.want)
			}
		})
	}
}

// A user who may only read is told which right is missing, by the verb and by the doctor.
func TestMissingRights(t *testing.T) {
	address := newDatabase(t)
	must(t, openAt(t, address+"?migrate=auto").Close())
	db := raw(t, address)
	run(t, db, "create user if not exists 'reader'@'%' identified by 'reader'")
	run(t, db, "grant select on "+nameOf(t, address)+".* to 'reader'@'%'")
	s := openAt(t, with(t, address, func(u *url.URL) { u.User = url.UserPassword("reader", "reader") }))
	_, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: testJobs(1)})
	if !errors.Is(err, bellhop.ErrUnavailable) || !strings.Contains(err.Error(), "lacks a right") {
		t.Errorf("enqueue: %v", err)
	}
	if f := finding(t, s, "rights"); f.Level != "problem" || !strings.Contains(f.Detail, "insert on bellhop_jobs") {
		t.Errorf("the doctor: %+v", f)
	}
}

func nameOf(t testing.TB, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	return strings.TrimPrefix(u.Path, "/")
}

func finding(t testing.TB, s *mysql.Store, subject string) bellhop.Finding {
	t.Helper()
	all, err := s.Diagnose(t.Context())
	must(t, err)
	for _, f := range all {
		if f.Subject == subject {
			return f
		}
	}
	t.Fatalf("there is no finding about %s among %+v", subject, all)
	return bellhop.Finding{}
}

// The doctor finds nothing wrong with a server that is as it should be, for the run role.
func TestDiagnose(t *testing.T) {
	s := newStore(t)
	all, err := s.Diagnose(t.Context())
	must(t, err)
	if len(all) < 10 {
		t.Errorf("only %d findings", len(all))
	}
	for _, f := range all {
		if f.Level != "ok" {
			t.Errorf("%+v", f)
		}
	}
	if d := s.Capabilities().Durability; !strings.Contains(d, "loss of power") {
		t.Errorf("durability: %s", d)
	}
}

// The store opens through the server's socket.
func TestSocket(t *testing.T) {
	address := spare.take(t)
	var socket string
	must(t, raw(t, address).QueryRowContext(t.Context(), "select @@socket").Scan(&socket))
	s := openAt(t, with(t, address, func(u *url.URL) { u.Host, u.RawQuery = "", "socket="+url.QueryEscape(socket) }))
	_, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: testJobs(1)})
	must(t, err)
}

// certificate makes a certificate for a server and returns the files.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "db.test"}, DNSNames: []string{"db.test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	must(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	dir, err := os.MkdirTemp("", "bellhop-tls-") // the server runs as another user
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		must(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o644))
	}
	return cert, key
}

// A server of the test's own: encrypted, with small packets; it is set to read
// only, it goes away, and it returns.
func TestServerOfItsOwn(t *testing.T) {
	cert, key := certificate(t)
	server := testservers.StartMariaDB(t, "max_allowed_packet = 1M", "ssl_cert = "+cert, "ssl_key = "+key)
	address := server.Database(t)
	admin := raw(t, address)
	run(t, admin, "grant select, insert, update, delete on "+nameOf(t, address)+".* to 'runner'@'%' identified by 'runner'")
	must(t, openAt(t, address+"?migrate=auto").Close())

	for query, want := range map[string]string{
		"?tls=on&tls_name=db.test&tls_ca=" + cert: "", "?tls=unverified": "", "?tls=preferred": "",
		"?tls=on": "certificate", "?tls=on&tls_ca=" + cert: "certificate",
	} {
		s, err := mysql.Open(t.Context(), address+query)
		if err == nil {
			_ = s.Close()
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v; want %q", query, err, want)
		}
	}

	s := openAt(t, asRunner(t, address)+"?tls=unverified")
	t.Run("small packets", func(t *testing.T) { smallPackets(t, s) })
	t.Run("read only", func(t *testing.T) {
		before := sessions(t, admin)
		run(t, admin, "set global read_only = 1")
		_, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: testJobs(1)})
		if !errors.Is(err, bellhop.ErrUnavailable) || !strings.Contains(err.Error(), "takes no writes") {
			t.Errorf("enqueue: %v", err)
		}
		waitFor(t, "the connection to be thrown away", func() bool { // a new one may lead to a new primary
			now := sessions(t, admin)
			return slices.ContainsFunc(before, func(id int64) bool { return !slices.Contains(now, id) })
		})
		if f := finding(t, s, "read-only"); f.Level != "problem" {
			t.Errorf("the doctor: %+v", f)
		}
		run(t, admin, "set global read_only = 0")
		_, err = s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: testJobs(1)})
		must(t, err)
	})
	t.Run("gone and back", func(t *testing.T) { goneAndBack(t, s, server) })
}

// sessions returns the run role's connections.
func sessions(t *testing.T, admin *sql.DB) (ids []int64) {
	t.Helper()
	rows, err := admin.QueryContext(t.Context(), "select id from information_schema.processlist where user = 'runner'")
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var id int64
		must(t, rows.Scan(&id))
		ids = append(ids, id)
	}
	must(t, rows.Err())
	return ids
}

// smallPackets: what is too much for one statement goes in several, and what no
// statement can take is refused.
func smallPackets(t *testing.T, s *mysql.Store) {
	jobs := testJobs(300)
	for i, j := range jobs {
		j.Args = []byte(`"` + strings.Repeat(string(rune('a'+i%26)), 20_000) + `"`)
	}
	_, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: jobs})
	must(t, err)
	p := testProcess()
	_, err = s.Beat(t.Context(), &bellhop.Beat{Process: p, Lease: time.Hour})
	must(t, err)
	reply, err := s.Exchange(t.Context(), request(p, 300))
	must(t, err)
	if len(reply.Claims) != 300 || !bytes.Equal(reply.Claims[299].Job.Args, jobs[299].Args) {
		t.Fatalf("claimed %d jobs", len(reply.Claims))
	}
	last := request(p, 0)
	last.Outcomes = settled(reply.Claims)
	for i := range last.Outcomes {
		last.Outcomes[i].Result = jobs[i].Args
	}
	if reply, err = s.Exchange(t.Context(), last); err != nil || len(reply.Refused) > 0 {
		t.Fatalf("refused %v, %v", reply, err)
	}
	large := testJobs(1)
	large[0].Args = []byte(`"` + strings.Repeat("x", 1<<20-2) + `"`)
	_, err = s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: large})
	if err == nil || !strings.Contains(err.Error(), "max_allowed_packet") || errors.Is(err, bellhop.ErrUnavailable) {
		t.Errorf("a job that is too large: %v", err)
	}
	if f := finding(t, s, "packet"); f.Level != "warning" {
		t.Errorf("the doctor: %+v", f)
	}
}

// goneAndBack: a server that dies amid calls loses nothing that was accepted,
// and is found again when it is back.
func goneAndBack(t *testing.T, s *mysql.Store, server *testservers.Server) {
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	accepted := make(chan []*bellhop.Job, 10_000)
	done := make(chan error, 1)
	go func() {
		defer close(accepted)
		for {
			jobs := testJobs(50)
			if _, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: jobs}); err != nil {
				done <- err
				return
			}
			accepted <- jobs
		}
	}()
	first := <-accepted
	server.Kill()
	if err := <-done; !errors.Is(err, bellhop.ErrUnavailable) {
		t.Errorf("amid a call: %v", err)
	}
	if _, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: testJobs(1)}); !errors.Is(err, bellhop.ErrUnavailable) || !errors.Is(err, bellhop.ErrUnchanged) {
		t.Errorf("while it is away: %v", err)
	}
	server.Start()
	_, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: testJobs(1)})
	must(t, err)
	all := first
	for jobs := range accepted {
		all = append(all, jobs...)
	}
	var ids []bellhop.ID
	for _, j := range all {
		ids = append(ids, j.ID)
	}
	if n, err := storetest.CountAll(ctx, s, bellhop.Filter{IDs: ids}, len(ids)+1); n != len(ids) || err != nil {
		t.Errorf("of %d accepted jobs there are %d, %v", len(ids), n, err)
	}
}
