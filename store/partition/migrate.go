package partition

import (
	"context"
	"fmt"

	"github.com/gobellhop/bellhop"
)

// migrating is a partition whose parts have a schema: a [bellhop.Migrator] besides.
type migrating struct {
	*Store
	parts []schemaPart
}

// schemaPart is a part that has a schema.
type schemaPart struct {
	name string
	kind string
	bellhop.Migrator
}

// Unwrap returns the store without the ability.
func (m *migrating) Unwrap() bellhop.Store { return m.Store }

// able returns the store with the abilities that its parts have: one in which no
// part has a schema is no [bellhop.Migrator].
func (s *Store) able() bellhop.Store {
	m := &migrating{Store: s}
	for _, p := range s.parts {
		if own, ok := bellhop.As[bellhop.Migrator](p.store); ok {
			m.parts = append(m.parts, schemaPart{p.name, p.store.Capabilities().Name, own})
		}
	}
	if len(m.parts) == 0 {
		return s
	}
	return m
}

// Schema implements [bellhop.Migrator]: the oldest version that any part has.
// Parts of several kinds have versions that cannot be compared: [bellhop.ErrUnsupported].
func (m *migrating) Schema(ctx context.Context) (have, newest int, err error) {
	for i, p := range m.parts {
		if p.kind != m.parts[0].kind {
			return 0, 0, m.mixed()
		}
		own, top, err := p.Schema(ctx)
		if err != nil {
			return 0, 0, &partError{p.name, err}
		}
		if i == 0 || own < have {
			have = own
		}
		newest = top
	}
	return have, newest, nil
}

func (m *migrating) mixed() error {
	other := m.parts[0]
	for _, p := range m.parts {
		if p.kind != other.kind {
			other = p
		}
	}
	return fmt.Errorf("partition store: part %s is of the kind %s and part %s %s, each with versions of its own: migrate each part by its own address: %w",
		m.parts[0].name, m.parts[0].kind, other.name, other.kind, bellhop.ErrUnsupported)
}

// MigrateTo implements [bellhop.Migrator]: one part after the other. A part that is
// at the version already, or past it on the way there, is left as it is.
func (m *migrating) MigrateTo(ctx context.Context, version int, progress func(step bellhop.MigrationStep)) error {
	have, _, err := m.Schema(ctx)
	if err != nil {
		return err
	}
	for _, p := range m.parts {
		own, _, err := p.Schema(ctx)
		if err == nil && (version >= have && own < version || version < have && own > version) {
			err = p.MigrateTo(ctx, version, func(step bellhop.MigrationStep) {
				step.Name = p.name + ": " + step.Name
				if progress != nil {
					progress(step)
				}
			})
		}
		if err != nil {
			return &partError{p.name, err}
		}
	}
	return nil
}

// MigrationSQL implements [bellhop.Migrator]. The statements are the same for every part.
func (m *migrating) MigrationSQL(from, to int) (string, error) {
	for _, p := range m.parts {
		if p.kind != m.parts[0].kind {
			return "", m.mixed()
		}
	}
	return m.parts[0].MigrationSQL(from, to)
}
