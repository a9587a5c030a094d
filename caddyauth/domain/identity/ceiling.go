package identity

import (
	"cmp"
	"slices"
	"strings"

	"github.com/alexedwards/argon2id"
)

// HashKind returns the part of a hash that determines the cost of computing it, which is everything
// before the salt: `$2a$12$`, or `$argon2id$v=19$m=47104,t=1,p=1$`. It is empty for a hash that
// ValidateHash refuses.
func HashKind(hash string) string {
	if ValidateHash(hash) != nil {
		return ""
	}
	if bcryptForm.MatchString(hash) {
		return hash[:len("$2a$10$")]
	}
	return strings.Join(strings.SplitAfter(hash, "$")[:4], "")
}

// kindWork is the work of a kind as HashKind writes it.
func kindWork(kind string) (work, error) {
	if strings.HasPrefix(kind, "$argon2id$") {
		return workOf(kind + strings.Repeat("A", 22) + "$" + strings.Repeat("A", 43))
	}
	return workOf(kind + strings.Repeat(".", 53))
}

// MixedKinds reports whether the hashes of these kinds, as HashKind writes them, take different
// work. An empty kind does not count.
func MixedKinds(kinds []string) bool {
	seen := make(map[work]bool)
	for _, kind := range kinds {
		if w, err := kindWork(kind); err == nil {
			seen[w] = true
		}
	}
	return len(seen) > 1
}

// ceiling is the work of every refusal, so that its duration reveals neither which kind of hash a
// user has nor whether the user exists: the costliest bcrypt hash, and of each argon2id memory and
// number of lanes the most passes. Works of different classes cannot be exchanged for each other
// without knowing how fast this machine is at each, so a refusal does one of each class. It does
// not change.
type ceiling struct {
	bcryptCost int // 0: none
	argon      []argon2id.Params
}

// with returns the ceiling raised to cover a work.
func (c ceiling) with(w work) ceiling {
	if w.bcryptCost > 0 {
		c.bcryptCost = max(c.bcryptCost, w.bcryptCost)
		return c
	}
	i, known := slices.BinarySearchFunc(c.argon, w.argon, compareClass)
	switch {
	case !known:
		c.argon = slices.Insert(slices.Clone(c.argon), i, w.argon)
	case w.argon.Iterations > c.argon[i].Iterations:
		c.argon = slices.Clone(c.argon)
		c.argon[i] = w.argon
	}
	return c
}

// holds reports whether the ceiling covers a work.
func (c ceiling) holds(w work) bool {
	if w.bcryptCost > 0 {
		return w.bcryptCost <= c.bcryptCost
	}
	i, known := slices.BinarySearchFunc(c.argon, w.argon, compareClass)
	return known && w.argon.Iterations <= c.argon[i].Iterations
}

func compareClass(a, b argon2id.Params) int {
	return cmp.Or(cmp.Compare(a.Memory, b.Memory), cmp.Compare(a.Parallelism, b.Parallelism))
}

// ceilingOf returns the ceiling over the kinds that can be used.
func ceilingOf(kinds []string) (c ceiling) {
	for _, kind := range kinds {
		if w, err := kindWork(kind); err == nil {
			c = c.with(w)
		}
	}
	return c
}

func (c ceiling) empty() bool { return c.bcryptCost == 0 && len(c.argon) == 0 }

// missingWork returns hashes that nobody has a password for, whose work brings what was done up to the
// ceiling: a bcrypt hash of cost 12 and those of 12 and 13 make one of 14, because each step of the
// cost doubles the work.
func (c ceiling) missingWork(done work) (decoys []string) {
	switch {
	case c.bcryptCost == 0:
	case done.bcryptCost == 0:
		decoys = append(decoys, work{bcryptCost: c.bcryptCost}.decoy())
	default:
		for cost := done.bcryptCost; cost < c.bcryptCost; cost++ {
			decoys = append(decoys, work{bcryptCost: cost}.decoy())
		}
	}
	for _, most := range c.argon {
		if done.bcryptCost == 0 && compareClass(most, done.argon) == 0 {
			most.Iterations -= min(done.argon.Iterations, most.Iterations)
		}
		if most.Iterations > 0 {
			decoys = append(decoys, work{argon: most}.decoy())
		}
	}
	return decoys
}

// lanes is how many threads the widest hash takes.
func (c ceiling) lanes() int64 {
	widest := int64(1)
	for _, params := range c.argon {
		widest = max(widest, int64(params.Parallelism))
	}
	return widest
}
