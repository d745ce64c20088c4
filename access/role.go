package access

import (
	"fmt"

	"github.com/gobellhop/bellhop"
)

// Role is how much somebody may do. A greater role may do all that a lesser one may.
type Role uint8

// The roles, from the least to the greatest.
const (
	None  Role = iota // sees nothing
	Read              // looks
	Act               // looks and acts
	Admin             // also deletes, and sees secrets and the audit
)

var roleNames = [...]string{None: "none", Read: "read", Act: "act", Admin: "admin"}

// String returns the role's name: "none", "read", "act" or "admin".
func (r Role) String() string {
	if int(r) < len(roleNames) {
		return roleNames[r]
	}
	return fmt.Sprintf("Role(%d)", uint8(r))
}

// ParseRole returns the role of a name. The error says which names there are.
func ParseRole(name string) (Role, error) {
	for r, n := range roleNames {
		if n == name {
			return Role(r), nil
		}
	}
	return None, fmt.Errorf("role %.40q is unknown: want none, read, act or admin", name)
}

// MarshalText returns the role's name.
func (r Role) MarshalText() ([]byte, error) {
	if int(r) >= len(roleNames) {
		return nil, fmt.Errorf("role %d is unknown", uint8(r))
	}
	return []byte(roleNames[r]), nil
}

// UnmarshalText reads a role's name.
func (r *Role) UnmarshalText(text []byte) (err error) {
	*r, err = ParseRole(string(text))
	return err
}

// RoleFor returns the role that an action takes on the queue of the job that it is done to.
func RoleFor(action bellhop.Action) Role {
	if action == bellhop.ActDelete {
		return Admin
	}
	return Act
}
