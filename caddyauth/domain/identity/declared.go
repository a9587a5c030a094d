package identity

import (
	"context"
	"fmt"
	"slices"
)

// Declared is the directory of the users that the configuration names. It never changes after it
// was built, so all requests share it without a lock.
type Declared struct {
	users map[account]*User
}

// account is the key under which a user is found.
type account struct{ project, name string }

// NewDeclared builds the directory. A name without a canonical form, two users of one project with
// the same canonical name, and a hash that ValidateHash refuses are errors that name the user.
func NewDeclared(users []User) (*Declared, error) {
	d := &Declared{users: make(map[account]*User, len(users))}
	for _, u := range users {
		if err := d.add(u); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *Declared) add(u User) error {
	name, err := CanonicalName(u.Name)
	if err != nil {
		return fmt.Errorf("user %q: %w", u.Name, err)
	}
	key := account{project: u.Project, name: name}
	if other := d.users[key]; other != nil {
		return fmt.Errorf("user %q: the name is taken by user %q of project %q", u.Name, other.Name, u.Project)
	}
	if u.PasswordHash != "" {
		if err := ValidateHash(u.PasswordHash); err != nil {
			return fmt.Errorf("user %q: %w", u.Name, err)
		}
	}
	d.users[key] = &u
	return nil
}

// FindUser implements Directory.
func (d *Declared) FindUser(_ context.Context, project, name string) (*User, error) {
	canonical, err := CanonicalName(name)
	if err != nil {
		return nil, ErrNoUser
	}
	u := d.users[account{project: project, name: canonical}]
	if u == nil {
		return nil, ErrNoUser
	}
	return u, nil
}

// HashKinds returns the kinds of the declared users' hashes, each once, in order.
func (d *Declared) HashKinds() []string {
	var kinds []string
	for _, u := range d.users {
		if kind := HashKind(u.PasswordHash); kind != "" {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}
