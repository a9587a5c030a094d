package sqlstore

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore/pgtest"
)

// BenchmarkAttempt counts attempts to sign in, three buckets each, durably. `alone` is the
// baseline: the same writer with one transaction in each commit.
func BenchmarkAttempt(b *testing.B) {
	arms := []struct {
		name string
		open func(b *testing.B) *Store
	}{
		{"sqlite-alone", func(b *testing.B) *Store { return sqliteWithLimit(b, 1) }},
		{"sqlite", func(b *testing.B) *Store { return sqliteWithLimit(b, groupLimit) }},
		{"postgres-socket", func(b *testing.B) *Store { return openAt(b, pgtest.Server(b).SocketURL(b)) }},
		{"postgres-tcp", func(b *testing.B) *Store { return openAt(b, pgtest.Server(b).URL(b)) }},
		{
			"postgres-tcp-40",
			func(b *testing.B) *Store { return openAt(b, pgtest.Server(b).URL(b, "pool_max_conns=40")) },
		},
	}
	for _, clients := range []int{1, 16, 64} {
		for _, arm := range arms {
			b.Run(fmt.Sprintf("%s/clients=%d", arm.name, clients), func(b *testing.B) {
				benchmarkAttempt(b, arm.open(b), clients)
			})
		}
	}
}

func sqliteWithLimit(b *testing.B, limit int) *Store {
	s := openAt(b, filepath.Join(b.TempDir(), "auth.db"))
	w := s.opened.Load().database.(*sqliteDatabase).writer
	w.do(b.Context(), func(tx) error { w.limit = limit; return nil })
	return s
}

func benchmarkAttempt(b *testing.B, s *Store, clients int) {
	var next atomic.Int64
	took := make([]time.Duration, b.N)
	b.ResetTimer()
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				begun := time.Now()
				wait, err := take(b.Context(), s, attemptOf(i), noon)
				if wait != 0 || err != nil {
					b.Error(wait, err)
					return
				}
				took[i] = time.Since(begun)
			}
		})
	}
	all.Wait()
	b.StopTimer()
	var rows int
	if _, err := one(b.Context(), s.opened.Load(), `SELECT count(*) FROM throttle`, nil, &rows); err != nil ||
		rows != b.N+2*min(b.N, 1000) {
		b.Fatalf("%d rows after %d attempts (%v)", rows, b.N, err)
	}
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// attemptOf is what a sign-in counts: its own pair, and one of a thousand addresses and accounts
// which have room for all.
func attemptOf(i int64) []identity.Bucket {
	return []identity.Bucket{
		{Key: fmt.Sprint("pair ", i), Burst: 5, Every: time.Minute},
		{Key: fmt.Sprint("address ", i%1000), Burst: 1 << 30, Every: 2 * time.Second},
		{Key: fmt.Sprint("account ", i%1000), Burst: 1 << 30, Every: 10 * time.Second},
	}
}

// BenchmarkFindParties is what each sign-in and each renewal reads.
func BenchmarkFindParties(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			s := e.fresh(b)()
			if err := s.AddProject(b.Context(), project.Project{ID: "p", Slug: "default", Active: true}); err != nil {
				b.Fatal(err)
			}
			if err := s.AddUser(b.Context(), identity.User{ID: "u", Project: "default", Name: "alice"}); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				p, err := s.FindParties(b.Context(), "default", clients.FirstParty, "alice")
				if err != nil || p.User == nil {
					b.Fatalf("%+v, %v", p, err)
				}
			}
		})
	}
}

// BenchmarkFindClientParties is what each token for a client reads: of rows that are known, and of
// others.
func BenchmarkFindClientParties(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			s := e.fresh(b)()
			if err := s.AddProject(b.Context(), project.Project{ID: "p", Slug: "default", Active: true}); err != nil {
				b.Fatal(err)
			}
			machine := clients.Client{
				ID:       "machine",
				Project:  "default",
				Secrets:  []clients.Secret{{Number: 1, Hash: "hash"}},
				Settings: clients.Settings{GrantTypes: []string{clients.GrantClientCredentials}},
				Scopes:   []string{"read", "write"},
				Active:   true,
			}
			if err := s.AddClient(b.Context(), machine); err != nil {
				b.Fatal(err)
			}
			for _, forget := range []bool{false, true} {
				b.Run(map[bool]string{false: "known", true: "unknown"}[forget], func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						if forget {
							s.known.clients.rows = nil
						}
						p, err := s.FindClientParties(b.Context(), "machine", "machine")
						if err != nil || !p.Client.Active {
							b.Fatalf("%+v, %v", p, err)
						}
					}
				})
			}
		})
	}
}
