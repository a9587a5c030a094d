package sqlstore

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// parallel is how many callers race.
const parallel = 200

// issuing is a server on a store of its own, as one of several nodes, with one key.
type issuing struct {
	*issuance.Service
	verifier *token.Verifier
	key      *keyring.Key
	tenants  *tenants
	store    *Store
}

// issuingNodes are two nodes, of which every second caller asks the other one.
func issuingNodes(t *testing.T, open func() *Store) []*issuing {
	t.Helper()
	key, err := keyring.Generate("ES256", noon)
	if err != nil {
		t.Fatal(err)
	}
	x := newTenants(t, open())
	c := x.client
	c.ID, c.Scopes = "orders", []string{"read"}
	c.Settings = clients.Settings{
		GrantTypes:    []string{clients.GrantExchange, clients.GrantClientCredentials},
		TokenExchange: []string{"reports"},
	}
	must(t, x.AddClient(t.Context(), c))
	nodes := make([]*issuing, 2)
	for i := range nodes {
		nodes[i] = issuingOn(t, open(), key)
		nodes[i].tenants = x
	}
	return nodes
}

// verifying reads tokens that are signed with keys.
func verifying(t *testing.T, keys func(ctx context.Context, kid string) (*keyring.Key, error)) *token.Verifier {
	t.Helper()
	verifier, err := token.NewVerifier([]token.Issuer{{Name: "https://iss", Own: true, Keys: keys}})
	must(t, err)
	return verifier
}

func issuingOn(t *testing.T, s *Store, key *keyring.Key) *issuing {
	t.Helper()
	verifier := verifying(t, func(context.Context, string) (*keyring.Key, error) { return key, nil })
	n := &issuing{verifier: verifier, key: key, store: s}
	n.Service = &issuance.Service{
		Issuer:   "https://iss",
		Store:    s,
		Codes:    s,
		Devices:  s,
		Sessions: sessionsOn(s),
		SigningKey: func(context.Context, time.Duration, time.Time) (*keyring.Key, error) {
			return key, nil
		},
		Verify:     verifier.Verify,
		GrantCache: &issuance.GrantCache{Store: s},
	}
	return n
}

// session begins a session of alice at the client reports.
func (n *issuing) session(t *testing.T) session.Issued {
	t.Helper()
	r := requestFor("Alice", time.Minute)
	r.Project, r.ClientID, r.Scopes = "acme", "reports", []string{"read"}
	return begun(t, n.Sessions, r)
}

// issued are the access tokens that callers got.
type issued struct {
	mu   sync.Mutex
	all  []string
	some chan struct{} // closed when there are some; nil while nobody waits for them
}

func (i *issued) add(raw string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.all = append(i.all, raw)
	if i.some != nil && len(i.all) == someIssued {
		close(i.some)
	}
}

// someIssued is how many tokens are issued before what ends them comes, so that a race is one.
const someIssued = parallel / 20

// awaitSome waits until someIssued tokens were issued.
func (i *issued) awaitSome(t *testing.T) {
	i.mu.Lock()
	enough := len(i.all) >= someIssued
	i.some = make(chan struct{})
	i.mu.Unlock()
	if enough {
		return
	}
	select {
	case <-i.some:
	case <-time.After(time.Minute):
		t.Error("nothing is issued")
	}
}

// denied demands of every token that it is denied, or that wanted says that it is good.
func (i *issued) denied(t *testing.T, n *issuing, good func(*token.Token) bool) {
	t.Helper()
	for _, raw := range i.all {
		found, err := n.verifier.Verify(t.Context(), raw)
		if err != nil {
			t.Fatal(err)
		}
		denied, err := n.store.IsDenied(t.Context(), found.RevocationSubject())
		if err != nil || denied == good(found) {
			t.Errorf("a token of epoch %d: denied %v, %v", found.Epoch, denied, err)
		}
	}
}

func never(*token.Token) bool { return false }

// refresh uses a refresh token; only a refusal may be in its way.
func (n *issuing) refresh(t *testing.T, raw string, into *issued) {
	got, err := n.Refresh(t.Context(), issuance.Refresh{Token: raw, ClientID: "reports", Now: noon})
	if _, refused := errors.AsType[*session.Refusal](err); err != nil && !refused {
		t.Error(err)
	}
	if err == nil {
		into.add(got.AccessToken)
	}
}

// TestARevocationWinsOverRefreshes: of a session that is ended while it is refreshed, no token is
// good, and no refresh token goes on. The same when everything of the user is revoked.
func TestARevocationWinsOverRefreshes(t *testing.T) {
	for _, c := range []struct {
		name   string
		revoke func(t *testing.T, n *issuing, s session.Issued) error
	}{
		{"by its refresh token", func(t *testing.T, n *issuing, s session.Issued) error {
			return n.Sessions.Revoke(t.Context(), s.RefreshToken, "reports", "revoked by its client", noon)
		}},
		{"with its user", func(t *testing.T, n *issuing, _ session.Issued) error {
			_, err := n.Sessions.RevokeAll(t.Context(), revocation.Revocation{
				Kind: revocation.UserKind, Project: "acme", ID: "Alice",
			}, noon)
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, open func() *Store) {
				nodes := issuingNodes(t, open)
				begun := nodes[0].session(t)
				begun.RefreshToken = nodes[1].renewed(t, nodes[0].renewed(t, begun.RefreshToken)) // both know it
				var got issued
				atOnce(parallel, func(i int) {
					if i == parallel/2 {
						got.awaitSome(t)
						if err := c.revoke(t, nodes[1], begun); err != nil {
							t.Error(err)
						}
						return
					}
					nodes[i%2].refresh(t, begun.RefreshToken, &got)
				})
				got.denied(t, nodes[0], never)
				before := len(got.all)
				nodes[0].refresh(t, begun.RefreshToken, &got)
				if len(got.all) != before {
					t.Error("the session goes on")
				}
			})
		})
	}
}

// TestARevocationWinsOverTokenExchange: what is exchanged while its session ends is not good.
func TestARevocationWinsOverTokenExchange(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes := issuingNodes(t, open)
		begun := nodes[0].session(t)
		subject, err := nodes[0].Again(t.Context(), begun.RefreshToken, time.Hour, noon)
		if err != nil {
			t.Fatal(err)
		}
		var got issued
		atOnce(parallel, func(i int) {
			if i == parallel/2 {
				got.awaitSome(t)
				if err := nodes[1].Sessions.RevokeFamily(t.Context(), begun.Grant.ID, "logout", noon); err != nil {
					t.Error(err)
				}
				return
			}
			n := nodes[i%2]
			p, err := n.store.FindClientParties(t.Context(), "orders", "orders")
			if err != nil {
				t.Error(err)
				return
			}
			x, err := n.TokenExchange(t.Context(),
				issuance.TokenExchange{Parties: p, SubjectToken: subject, Now: noon})
			if err == nil {
				got.add(x.AccessToken)
			} else if !errors.Is(err, issuance.ErrSubjectToken) {
				t.Error(err)
			}
		})
		got.denied(t, nodes[0], never)
	})
}

// TestARevocationOfAClientIsAPointInTime: of the tokens that it gets for itself meanwhile, those
// from before are denied, and those from after are good.
func TestARevocationOfAClientIsAPointInTime(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes := issuingNodes(t, open)
		var denial revocation.Denial
		issue := func(n *issuing, into *issued) {
			p, err := n.store.FindClientParties(t.Context(), "orders", "orders")
			if err == nil {
				var made issuance.Issued
				if made, err = n.ClientCredentials(t.Context(),
					issuance.ClientCredentials{Parties: p, Now: noon}); err == nil {
					into.add(made.AccessToken)
				}
			}
			if err != nil {
				t.Error(err)
			}
		}
		var before, meanwhile, after issued
		issue(nodes[0], &before)
		atOnce(parallel, func(i int) {
			if i != parallel/2 {
				issue(nodes[i%2], &meanwhile)
				return
			}
			meanwhile.awaitSome(t)
			var err error
			_, denial, err = nodes[1].store.RevokeAll(t.Context(), revocation.Revocation{
				Kind: revocation.ClientKind, Project: "acme", ID: "orders", Until: noon.Add(time.Hour),
			}, noon)
			if err != nil {
				t.Error(err)
			}
		})
		issue(nodes[0], &after)
		if len(meanwhile.all) != parallel-1 {
			t.Errorf("%d tokens", len(meanwhile.all))
		}
		before.denied(t, nodes[0], never)
		meanwhile.denied(t, nodes[0], func(found *token.Token) bool { return found.Epoch >= denial.Epoch })
		after.denied(t, nodes[0], func(*token.Token) bool { return true })
	})
}

// TestKeysRotateWhileTokensAreIssued: every token verifies on every node until it expires, whichever
// key was the one to sign with at that moment. After an hour the announced key takes over.
func TestKeysRotateWhileTokensAreIssued(t *testing.T) { onEachEngine(t, rotateWhileTokensAreIssued) }

func rotateWhileTokensAreIssued(t *testing.T, open func() *Store) {
	nodes := keyNodesOn(t, 2, open)
	var got issued
	parties := issuance.Parties{
		Epoch:   1,
		Project: project.Project{Slug: "acme", Active: true},
		Client:  clients.Client{ID: "orders", Project: "acme", Active: true},
	}
	signed := map[string]bool{}
	for round, after := range []time.Duration{0, 55 * time.Minute, time.Hour, time.Hour + time.Minute} {
		now := dawn.Add(after)
		atOnce(parallel, func(i int) {
			node := nodes[i%2]
			var err error
			switch i / 2 % 25 {
			case 0:
				err = node.Rotate(t.Context(), now)
			case 1:
				err = node.Update(t.Context(), now)
			default:
				s := &issuance.Service{Issuer: "https://iss", SigningKey: node.SigningKey}
				var made issuance.Issued
				made, err = s.ClientCredentials(t.Context(), issuance.ClientCredentials{Parties: parties, Now: now})
				if err == nil {
					got.add(made.AccessToken)
				}
			}
			if err != nil {
				t.Error(err)
			}
		})
		if want := (round + 1) * parallel * 23 / 25; len(got.all) != want {
			t.Errorf("after %v: %d tokens, want %d", after, len(got.all), want)
		}
		for _, node := range nodes {
			must(t, node.Refresh(t.Context(), now))
			verifier := verifying(t, func(_ context.Context, kid string) (*keyring.Key, error) {
				return node.Ring().Key(kid), nil
			})
			for _, raw := range got.all {
				found, err := verifier.Verify(t.Context(), raw)
				if err != nil {
					t.Fatalf("after %v: %v", after, err)
				}
				signed[found.Key.ID()] = true
			}
		}
	}
	if len(signed) != 2 {
		t.Errorf("%d keys have signed, want the first and the one that took over", len(signed))
	}
}
