package identity

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alexedwards/argon2id"
)

// newPasswords returns a checker that expects hashes of these kinds.
func newPasswords(hashes ...string) *Passwords {
	var kinds []string
	for _, hash := range hashes {
		kinds = append(kinds, HashKind(hash))
	}
	return NewPasswords(kinds)
}

func check(t *testing.T, p *Passwords, u *User, password string) bool {
	t.Helper()
	ok, err := p.Check(t.Context(), u, password)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func TestRightAndWrongPasswords(t *testing.T) {
	p := newPasswords(argonHash(t, "decoy"))
	for _, c := range []struct{ name, hash string }{
		{"argon2id", argonHash(t, "wonderland")}, {"bcrypt", bcryptHash(t, "wonderland")},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := &User{Name: "alice", PasswordHash: c.hash}
			if !check(t, p, u, "wonderland") {
				t.Errorf("%s: the right password is refused", c.name)
			}
			for _, wrong := range []string{
				"", "Wonderland", "wonderland ", " wonderland", "wonderland\x00", "wonderlan", c.hash,
			} {
				if check(t, p, u, wrong) {
					t.Errorf("%s: %q is accepted", c.name, wrong)
				}
			}
		})
	}
}

// The text stands in Caddy's source, made by `caddy hash-password --algorithm argon2id`.
func TestFullCostHashOfCaddyVerifies(t *testing.T) {
	p := newPasswords()
	if !check(t, p, &User{PasswordHash: defaultHash}, "antitiming") {
		t.Error("a hash that `caddy hash-password` made is refused")
	}
}

func TestDecoyNeverLetsAnyoneIn(t *testing.T) {
	decoy := argonHash(t, "decoy")
	p := newPasswords(decoy)
	for _, c := range []struct {
		name string
		u    *User
	}{
		{"unknown", nil},
		{"without password", &User{Name: "a"}},
		{"disabled", &User{Name: "a", PasswordHash: decoy, Disabled: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if check(t, p, c.u, "decoy") {
				t.Errorf("%s: let in", c.name)
			}
		})
	}
}

// spent is what attempts took: bcrypt by the steps of its cost, argon2id by passes for each memory
// and number of lanes.
type spent struct {
	bcrypt int
	argon  map[string]uint32
}

// counting replaces the hashing of p by counting what it would take; the password "right" matches
// the hash `user`.
func counting(t *testing.T, p *Passwords, user string) *spent {
	s := &spent{argon: map[string]uint32{}}
	p.matches = func(hash, password string) bool {
		switch w, err := workOf(hash); {
		case err != nil:
			t.Error(err)
		case w.bcryptCost > 0:
			s.bcrypt += 1 << w.bcryptCost
		default:
			s.argon[fmt.Sprintf("m=%d,p=%d", w.argon.Memory, w.argon.Parallelism)] += w.argon.Iterations
		}
		return hash == user && password == "right"
	}
	return s
}

const bcryptRest = "Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG"

// Whatever kinds of hashes there are, and whichever a user has, all refusals take exactly the same.
func TestEveryRefusalTakesTheSameWork(t *testing.T) {
	crypt := func(cost int) string { return fmt.Sprintf("$2b$%02d$%s", cost, bcryptRest) }
	for _, c := range []struct {
		name   string
		hashes []string
		want   spent
	}{
		{"bcrypt alone", []string{crypt(10)}, spent{1 << 10, map[string]uint32{}}},
		{"argon2id alone", []string{defaultHash}, spent{0, map[string]uint32{"m=47104,p=1": 1}}},
		{"bcrypt of different costs", []string{crypt(14), crypt(4), crypt(10)}, spent{1 << 14, map[string]uint32{}}},
		{
			"argon2id of different passes", []string{argonText("m=65536,t=4,p=1"), argonText("m=65536,t=1,p=1")},
			spent{0, map[string]uint32{"m=65536,p=1": 4}},
		},
		{
			"everything",
			[]string{crypt(14), defaultHash, crypt(12), argonText("m=65536,t=3,p=4"), argonText("m=47104,t=2,p=1")},
			spent{1 << 14, map[string]uint32{"m=47104,p=1": 2, "m=65536,p=4": 3}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			users := map[string]*User{
				"nobody":             nil,
				"without a password": {},
				"broken hash":        {PasswordHash: "$2a$31$broken"},
			}
			for _, hash := range c.hashes {
				users[HashKind(hash)] = &User{PasswordHash: hash}
				users["disabled "+HashKind(hash)] = &User{PasswordHash: hash, Disabled: true}
			}
			for name, user := range users {
				for _, password := range []string{
					"wrong", "right", "", "right\x00", strings.Repeat("a", 1<<20), strings.Repeat("a", 73),
					"right\xff",
				} {
					if password == "right" && user != nil && !user.Disabled && HashKind(user.PasswordHash) != "" {
						continue // what is let in may be told by its time
					}
					p := newPasswords(c.hashes...)
					hash := ""
					if user != nil {
						hash = user.PasswordHash
					}
					got := counting(t, p, hash)
					ok, err := p.Check(t.Context(), user, password)
					if ok || errors.Is(err, ErrBadHash) != (name == "broken hash") || !reflect.DeepEqual(*got, c.want) {
						t.Errorf("%s, %.20q: %v, %v, took %+v, want %+v", name, password, ok, err, *got, c.want)
					}
				}
			}
		})
	}
}

// Kinds that come into the store while the server runs count with the next look, and at once where
// this process makes or meets one.
func TestKindsOfTheStoreCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPasswords("$2a$04$" + bcryptRest)
		p.slots = newSlots(1)
		kinds, looks := []string{}, 0
		var failing error
		p.Kinds = func(context.Context) ([]string, error) { looks++; return kinds, failing }
		refusal := func(want spent) {
			t.Helper()
			got := counting(t, p, "")
			if _, err := p.Check(t.Context(), nil, "wrong"); err != nil || !reflect.DeepEqual(*got, want) {
				t.Errorf("%v: took %+v, want %+v", err, *got, want)
			}
		}
		refusal(spent{1 << 4, map[string]uint32{}})
		kinds = []string{"$2y$10$", "$argon2id$v=19$m=64,t=2,p=1$", "of a later release"}
		refusal(spent{1 << 4, map[string]uint32{}})
		time.Sleep(kindsFor)
		all := spent{1 << 10, map[string]uint32{"m=64,p=1": 2}}
		refusal(all)
		kinds, failing = nil, errors.New("the store is away")
		time.Sleep(kindsFor)
		refusal(all)
		refusal(all)
		if looks != 3 {
			t.Errorf("asked %d times", looks)
		}
		if _, err := p.Check(t.Context(), &User{PasswordHash: "$2a$11$" + bcryptRest}, "wrong"); err != nil {
			t.Error(err)
		}
		refusal(spent{1 << 11, map[string]uint32{"m=64,p=1": 2}})
		if _, err := p.Hash(t.Context(), "long enough"); err != nil {
			t.Error(err)
		}
		refusal(spent{1 << 11, map[string]uint32{"m=64,p=1": 2, "m=47104,p=1": 1}})
	})
}

func TestMixedKindsAreThoseOfDifferentWork(t *testing.T) {
	for _, c := range []struct {
		kinds []string
		mixed bool
	}{
		{nil, false},
		{[]string{"$2a$10$", "$2b$10$", "", "junk"}, false},
		{[]string{"$2a$10$", "$2a$11$"}, true},
		{[]string{"$2a$10$", HashKind(defaultHash)}, true},
	} {
		if got := MixedKinds(c.kinds); got != c.mixed {
			t.Errorf("%q: %v", c.kinds, got)
		}
	}
}

func TestHashesAreRenewedToTheKindOfNewOnes(t *testing.T) {
	p := newPasswords()
	for _, c := range []struct {
		name    string
		user    User
		renewed bool
	}{
		{"bcrypt", User{PasswordHash: bcryptHash(t, "short")}, true},
		{"cheap argon2id", User{PasswordHash: argonHash(t, "short")}, true},
		{"the kind of new ones", User{PasswordHash: defaultHash}, false},
		{"argon2id of more work", User{PasswordHash: argonText("m=65536,t=3,p=4")}, false},
		{"declared", User{PasswordHash: bcryptHash(t, "short"), Declared: true}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			hash, err := p.Renew(t.Context(), &c.user, "short")
			if err != nil || (hash != "") != c.renewed {
				t.Fatalf("%q, %v", hash, err)
			}
			if c.renewed &&
				(HashKind(hash) != HashKind(defaultHash) || !check(t, p, &User{PasswordHash: hash}, "short")) {
				t.Error("the new hash is not one of the same password and of the kind of new ones")
			}
		})
	}
}

// bcrypt itself would read 72 bytes and accept the longer text.
func TestLongPasswordsAreDefined(t *testing.T) {
	p := newPasswords(argonHash(t, "decoy"))
	long := strings.Repeat("a", 72)
	if u := (&User{PasswordHash: bcryptHash(t, long)}); !check(t, p, u, long) || check(t, p, u, long+"b") {
		t.Error("bcrypt: 72 bytes are the most that match")
	}
	long = strings.Repeat("a", maxPassword)
	if u := (&User{PasswordHash: argonHash(t, long)}); !check(t, p, u, long) || check(t, p, u, long+"b") {
		t.Error("argon2id: 1024 bytes are the most that match")
	}
}

func TestUnicodeFormsOfAPasswordAreOnePassword(t *testing.T) {
	p := newPasswords(argonHash(t, "decoy"))
	u := &User{PasswordHash: argonHash(t, "caf\u00e9 \u212b")}
	if check(t, p, u, "caf\u00e9 \u212b") {
		t.Error("a hash of text that is not in NFC is matched: then there are two rules")
	}
	u = &User{PasswordHash: argonHash(t, "caf\u00e9 \u00c5")}
	for _, spelling := range []string{"caf\u00e9 \u00c5", "cafe\u0301 A\u030a", "caf\u00e9 \u212b"} {
		if !check(t, p, u, spelling) {
			t.Errorf("%+q is refused", spelling)
		}
	}
	for _, other := range []string{"cafe \u00c5", "CAF\u00c9 \u00c5", "caf\u00e9\u00a0\u00c5"} {
		if check(t, p, u, other) {
			t.Errorf("%+q is accepted", other)
		}
	}
}

// Requests need cores while passwords are checked.
func TestHashesTakeHalfOfTheProcessors(t *testing.T) {
	a, b := newPasswords(), newPasswords()
	if a.slots != b.slots {
		t.Error("two checkers of one process have places of their own")
	}
	for _, c := range []struct{ processors, want int }{{1, 1}, {2, 1}, {3, 1}, {4, 2}, {9, 4}} {
		was := runtime.GOMAXPROCS(c.processors)
		got := hashSlots()
		runtime.GOMAXPROCS(was)
		if got != int64(c.want) {
			t.Errorf("of %d processors: %d places", c.processors, got)
		}
	}
}

// A hash of four lanes is computed by four threads, and counts as such.
func TestLanesTakePlaces(t *testing.T) {
	for _, c := range []struct {
		places, lanes int
		most          int64 // attempts at once
	}{{4, 1, 4}, {4, 2, 2}, {4, 3, 1}, {4, 16, 1}} {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			p, most := blocked(c.places, release)
			p.addWork(work{
				argon: argon2id.Params{
					Memory:      64,
					Iterations:  1,
					Parallelism: uint8(c.lanes),
					SaltLength:  16,
					KeyLength:   32,
				},
			})
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() { _, _ = p.Check(t.Context(), nil, "x") })
			}
			synctest.Wait()
			if most.Load() != c.most {
				t.Errorf("%+v: %d at once", c, most.Load())
			}
			close(release)
			wg.Wait()
		})
	}
}

// blocked returns a checker of n places whose hashes take until release is closed, and counts how
// many run at once.
func blocked(n int, release <-chan struct{}) (p *Passwords, most *atomic.Int64) {
	var running atomic.Int64
	most = new(atomic.Int64)
	p = NewPasswords(nil)
	p.slots = newSlots(int64(n))
	p.matches = func(string, string) bool {
		if now := running.Add(1); now > most.Load() {
			most.Store(now)
		}
		<-release
		running.Add(-1)
		return true
	}
	return p, most
}

func TestNoMoreHashesAtOnceThanPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p, most := blocked(2, release)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { _, _ = p.Check(t.Context(), nil, "x") })
		}
		synctest.Wait()
		if most.Load() != 2 {
			t.Errorf("%d at once", most.Load())
		}
		close(release)
		wg.Wait()
		if p.Computed() != 10 || most.Load() != 2 {
			t.Errorf("%d computed, %d at once", p.Computed(), most.Load())
		}
	})
}

func TestWaitingEndsAfterTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p, _ := blocked(1, release)
		go func() { _, _ = p.Check(context.Background(), nil, "x") }()
		synctest.Wait()
		start := time.Now()
		if _, err := p.Check(t.Context(), nil, "x"); !errors.Is(err, ErrBusy) || time.Since(start) != 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		close(release)
		synctest.Wait()
		if _, err := p.Check(t.Context(), nil, "x"); err != nil {
			t.Errorf("the place is not free again: %v", err)
		}
	})
}

func TestAGoneClientFreesItsWaitNotTheComputation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p, _ := blocked(1, release)
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error, 2)
		go func() { _, err := p.Check(ctx, nil, "x"); results <- err }()
		synctest.Wait()
		go func() { _, err := p.Check(ctx, nil, "x"); results <- err }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("the waiting attempt: %v", err)
		}
		if p.slots.places.TryAcquire(1) {
			t.Error("the computation has lost its place")
		}
		close(release)
		if err := <-results; err != nil {
			t.Errorf("the computing attempt: %v", err)
		}
	})
}

func TestAnEndedContextComputesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := newPasswords()
	if _, err := p.Check(ctx, nil, "x"); !errors.Is(err, context.Canceled) || p.Computed() != 0 {
		t.Errorf("%v, %d computed", err, p.Computed())
	}
}
