package sqlstore

import (
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

// TestWhatIsKnownIsWhatIsStored: whatever changes, at the same instant and through another store, is
// what the next token is issued for.
func TestWhatIsKnownIsWhatIsStored(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		x := newTenants(t, open())
		fresh := func() *Store { // another one of the same database, which knows nothing
			s := &Store{source: x.source}
			s.opened.Store(x.opened.Load())
			return s
		}
		other := fresh()
		read := func(s *Store) (both [2]issuance.Parties) {
			var err error
			both[0], err = s.FindClientParties(t.Context(), "reports", "reports")
			must(t, err)
			both[1], err = s.FindParties(t.Context(), "acme", "reports", "alice")
			must(t, err)
			return both
		}
		find := func() (clients.Client, project.Project) {
			p := read(fresh())[0]
			return p.Client, p.Project
		}
		change := func(edit func(*clients.Client)) func() {
			return func() {
				c, _ := find()
				edit(&c)
				_, err := other.ChangeClient(t.Context(), c, noon)
				must(t, err)
			}
		}
		for _, c := range []struct {
			name string
			do   func()
		}{
			{"nothing", func() {}},
			{"paused", change(func(c *clients.Client) { c.Active = false })},
			{"another secret", change(func(c *clients.Client) {
				c.Secrets = []clients.Secret{{Number: 1, Hash: "a"}}
			})},
			{"another list", change(func(c *clients.Client) { c.Scopes = []string{"read"} })},
			{"another name", change(func(c *clients.Client) { c.Name = `a|b,"c` })},
			{"removed", func() { must(t, other.RemoveClient(t.Context(), "reports", 0)) }},
			{"added again at the same instant", func() {
				again := x.client
				again.Secrets = []clients.Secret{{Number: 1, Hash: "b"}}
				must(t, other.AddClient(t.Context(), again))
			}},
			{"the project is paused", func() {
				_, p := find()
				p.Active = false
				_, err := other.ChangeProject(t.Context(), p, noon)
				must(t, err)
			}},
			{"a user of the client's name", func() {
				user := identity.User{ID: "r", Project: "acme", Name: "Reports", Created: noon}
				must(t, other.AddUser(t.Context(), user))
			}},
		} {
			t.Run(c.name, func(t *testing.T) {
				c.do()
				want := read(fresh())
				for range 2 {
					if got := read(x.Store); !reflect.DeepEqual(got, want) {
						t.Errorf("%+v\nwant %+v", got, want)
					}
				}
			})
		}
	})
}

func TestKnownRowsAreBounded(t *testing.T) {
	var m memory[int]
	for i := range maxKnown + 10 {
		m.keep(strconv.Itoa(i), i)
		if got, found := m.find(strconv.Itoa(i)); !found || got != i {
			t.Fatalf("%d: %v, %v", i, got, found)
		}
	}
	if len(m.rows) > maxKnown {
		t.Errorf("%d rows are known", len(m.rows))
	}
	m.keep("", 1)
	if got, found := m.find(""); !found || got != 0 {
		t.Errorf("a row that does not exist: %v, %v", got, found)
	}
}

// TestNoColumnOfAKnownRowMayBeNull: concat_ws leaves NULL out, and two rows could have one text.
func TestNoColumnOfAKnownRowMayBeNull(t *testing.T) {
	s := openAt(t, "sqlite:"+t.TempDir()+"/auth.db")
	db, err := s.database()
	must(t, err)
	for table, columns := range map[string]string{"project": projectColumns, "client": clientColumns} {
		var named, whole int
		_, err := one(t.Context(), db,
			`SELECT count(*), coalesce(sum("notnull" = 1 OR pk > 0), 0) FROM pragma_table_info($1)
			WHERE instr(',' || replace(replace(replace($2, ' ', ''), char(10), ''), char(9), '') || ',',
				',' || name || ',') > 0`, []any{table, columns}, &named, &whole)
		must(t, err)
		if want := strings.Count(columns, ",") + 1; named != want || whole != want {
			t.Errorf("%s: %d columns, found %d, %d of them without NULL", table, want, named, whole)
		}
	}
}
