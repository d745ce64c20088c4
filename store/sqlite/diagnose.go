package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// Diagnose implements [bellhop.Diagnoser].
func (s *Store) Diagnose(ctx context.Context) ([]bellhop.Finding, error) {
	return s.Store.Diagnose(ctx, s.migrations, s.lookDurability, s.lookWAL, s.lookLocks)
}

// Examine implements [bellhop.Examiner]: it reads the whole file, and finds out whether it is sound.
func (s *Store) Examine(ctx context.Context) ([]bellhop.Finding, error) {
	return s.Store.Examine(ctx, s.lookFile)
}

func (s *Store) lookFile(ctx context.Context) ([]bellhop.Finding, error) {
	var lines []string
	rows, err := s.reader.QueryContext(ctx, "pragma quick_check(3)")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if len(lines) != 1 || lines[0] != "ok" {
		return sqlstore.Found(sqlstore.LevelProblem, "integrity", "stop all programs that use the file, and restore a backup or recover it with `sqlite3 FILE .recover`",
			"%s is damaged: %s", s.dialect.file(), strings.Join(lines, "; "))
	}
	size := int64(0)
	if info, err := os.Stat(s.settings.path); err == nil {
		size = info.Size()
	}
	return sqlstore.Found(sqlstore.LevelOK, "integrity", "", "%s is sound, %s", s.dialect.file(), bytes(size))
}

func (s *Store) lookDurability(ctx context.Context) ([]bellhop.Finding, error) {
	var mode string
	if err := s.reader.QueryRowContext(ctx, "pragma journal_mode").Scan(&mode); err != nil {
		return nil, err
	}
	if mode != "wal" {
		return sqlstore.Found(sqlstore.LevelWarning, "durability", "open the pool with journal_mode=wal, so that reading and writing do not wait for each other", "the journal mode is %s", mode)
	}
	level, advice := sqlstore.LevelOK, ""
	if s.settings.synchronous != "full" && s.settings.synchronous != "extra" {
		level, advice = sqlstore.LevelWarning, "use synchronous=full if no accepted job may be lost"
	}
	return sqlstore.Found(level, "durability", advice, "%s", s.Capabilities().Durability)
}

// muchWAL is a size of the write-ahead log that does not come from work alone.
const muchWAL = 4 * maxLog

func (s *Store) lookWAL(context.Context) ([]bellhop.Finding, error) {
	if s.settings.path == "" {
		return nil, nil
	}
	size := int64(0)
	if info, err := os.Stat(s.settings.log); err == nil {
		size = info.Size()
	}
	if size > muchWAL {
		return sqlstore.Found(sqlstore.LevelWarning, "write-ahead log", "look for a program that holds a reading transaction open on the file", "%s: it cannot be worked off", bytes(size))
	}
	return sqlstore.Found(sqlstore.LevelOK, "write-ahead log", "", "%s", bytes(size))
}

func (s *Store) lookLocks(context.Context) ([]bellhop.Finding, error) {
	if s.settings.path == "" {
		return sqlstore.Found(sqlstore.LevelWarning, "lock files", "", "the database is not a file: only this process can use it")
	}
	folder := folderOf(s.settings.path)
	probe, err := os.CreateTemp(folder, "doctor-*.lock")
	if err != nil {
		return sqlstore.Found(sqlstore.LevelProblem, "lock files", "make the folder writable for this user", "no file can be made in %s: %v", folder, err)
	}
	defer os.Remove(probe.Name())
	defer probe.Close()
	other, err := os.OpenFile(probe.Name(), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer other.Close()
	if ok, err := tryLock(probe); !ok || err != nil {
		return sqlstore.Found(sqlstore.LevelProblem, "lock files", "keep the database on a local file system", "files in %s cannot be locked: %v", folder, err)
	}
	if again, _ := tryLock(other); again {
		return sqlstore.Found(sqlstore.LevelProblem, "lock files", "keep the database on a local file system", "locks in %s do not exclude each other", folder)
	}
	files, err := filepath.Glob(filepath.Join(folder, "process-*.lock"))
	if err != nil {
		return nil, err
	}
	return sqlstore.Found(sqlstore.LevelOK, "lock files", "", "%s, of living processes: %d", folder, len(files))
}

// bytes prints a size for people.
func bytes(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d KiB", (n+1023)/1024)
}
