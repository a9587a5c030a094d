package identity

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func newPasswords(t *testing.T, decoy string) *Passwords {
	t.Helper()
	p, err := NewPasswords(decoy)
	if err != nil {
		t.Fatal(err)
	}
	return p
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
	p := newPasswords(t, argonHash(t, "decoy"))
	for name, hash := range map[string]string{"argon2id": argonHash(t, "wonderland"), "bcrypt": bcryptHash(t, "wonderland")} {
		u := &User{Name: "alice", PasswordHash: hash}
		if !check(t, p, u, "wonderland") {
			t.Errorf("%s: the right password is refused", name)
		}
		for _, wrong := range []string{"", "Wonderland", "wonderland ", " wonderland", "wonderland\x00", "wonderlan", hash} {
			if check(t, p, u, wrong) {
				t.Errorf("%s: %q is accepted", name, wrong)
			}
		}
	}
}

// The text stands in Caddy's source, made by `caddy hash-password --algorithm argon2id`.
func TestFullCostHashOfCaddyVerifies(t *testing.T) {
	p := newPasswords(t, "")
	if !check(t, p, &User{PasswordHash: defaultDecoy}, "antitiming") {
		t.Error("a hash that `caddy hash-password` made is refused")
	}
}

func TestDecoyNeverLetsAnyoneIn(t *testing.T) {
	decoy := argonHash(t, "decoy")
	p := newPasswords(t, decoy)
	for name, u := range map[string]*User{
		"unknown":          nil,
		"without password": {Name: "a"},
		"disabled":         {Name: "a", PasswordHash: decoy, Disabled: true},
	} {
		if check(t, p, u, "decoy") {
			t.Errorf("%s: let in", name)
		}
	}
}

// Every check computes one hash; which hash tells the work.
func TestEveryFailingPathDoesTheSameWork(t *testing.T) {
	argon, crypt := argonHash(t, "right"), bcryptHash(t, "right")
	for _, stored := range []string{argon, crypt} {
		want, _ := workOf(stored)
		p := newPasswords(t, DecoyHash([]string{stored}))
		var works []work
		p.matches = func(hash, password string) bool {
			w, err := workOf(hash)
			if err != nil {
				t.Error(err)
			}
			works = append(works, w)
			return matches(hash, password)
		}
		user := &User{PasswordHash: stored}
		for name, c := range map[string]struct {
			user     *User
			password string
		}{
			"right":         {user, "right"},
			"wrong":         {user, "wrong"},
			"unknown":       {nil, "right"},
			"disabled":      {&User{PasswordHash: stored, Disabled: true}, "right"},
			"no password":   {&User{}, "right"},
			"broken hash":   {&User{PasswordHash: "$2a$31$broken"}, "right"},
			"empty":         {user, ""},
			"NUL":           {user, "right\x00"},
			"1 MB":          {user, strings.Repeat("a", 1<<20)},
			"over 72 bytes": {user, strings.Repeat("a", 73)},
			"bad UTF-8":     {user, "right\xff"},
		} {
			works = nil
			before := p.Computed()
			ok, err := p.Check(t.Context(), c.user, c.password)
			if len(works) != 1 || works[0] != want || p.Computed() != before+1 {
				t.Errorf("%s: did %+v, want one of %+v", name, works, want)
			}
			if ok != (name == "right") || errors.Is(err, ErrBadHash) != (name == "broken hash") {
				t.Errorf("%s: %v, %v", name, ok, err)
			}
		}
	}
}

// bcrypt itself would read 72 bytes and accept the longer text.
func TestLongPasswordsAreDefined(t *testing.T) {
	p := newPasswords(t, argonHash(t, "decoy"))
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
	p := newPasswords(t, argonHash(t, "decoy"))
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

func TestBadDecoyIsRefused(t *testing.T) {
	if _, err := NewPasswords("plain"); !errors.Is(err, ErrBadHash) {
		t.Error(err)
	}
}

func TestOneProcessHasOnePlacePerProcessor(t *testing.T) {
	a, b := newPasswords(t, ""), newPasswords(t, "")
	if a.slots != b.slots || cap(a.slots) != runtime.GOMAXPROCS(0) {
		t.Errorf("%d places, shared: %v", cap(a.slots), a.slots == b.slots)
	}
}

// blocked returns a checker of n places whose hashes take until release is closed, and counts how many
// run at once.
func blocked(n int, release <-chan struct{}) (p *Passwords, most *atomic.Int64) {
	var running atomic.Int64
	most = new(atomic.Int64)
	p = &Passwords{decoy: defaultDecoy, slots: make(chan struct{}, n)}
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
		if len(p.slots) != 1 {
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
	p := newPasswords(t, "")
	if _, err := p.Check(ctx, nil, "x"); !errors.Is(err, context.Canceled) || p.Computed() != 0 {
		t.Errorf("%v, %d computed", err, p.Computed())
	}
}
