package revocation

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestDeniedKinds(t *testing.T) {
	var l DenyList
	if got := l.Denied(Subject{Family: "f"}); got != "" {
		t.Errorf("the empty list denies %q", got)
	}
	l.Add(
		Denial{Kind: FamilyKind, ID: "f1", Until: noon},
		Denial{Kind: TokenKind, Scope: "https://a", ID: "t1", Until: noon},
		Denial{Kind: UserKind, Scope: "p", ID: "u1", Epoch: 5, Until: noon},
		Denial{Kind: ClientKind, Scope: "p", ID: "c1", Epoch: 7, Until: noon},
		Denial{Kind: ProjectKind, Scope: "q", Epoch: 9, Until: noon},
		Denial{},
		Denial{Kind: "planet", ID: "f2", Until: noon},
	)
	for _, c := range []struct {
		b    Subject
		want Kind
	}{
		{Subject{Family: "f1", Epoch: 99}, FamilyKind},
		{Subject{Family: "f2", Epoch: 99}, ""},
		{Subject{Issuer: "https://a", TokenID: "t1", Epoch: 99}, TokenKind},
		{Subject{Issuer: "https://b", TokenID: "t1", Epoch: 99}, ""},
		{Subject{Issuer: "https://a", TokenID: "t2", Epoch: 99}, ""},
		{Subject{Issuer: "t1", TokenID: "https://a", Epoch: 99}, ""},
		{Subject{Issuer: "https://", TokenID: "at1", Epoch: 99}, ""},
		{Subject{TokenID: "https://at1", Epoch: 99}, ""},
		{Subject{TokenID: "f1", Epoch: 99}, ""},
		{Subject{Project: "p", Subject: "u1", Epoch: 4}, UserKind},
		{Subject{Project: "p", Subject: "u1"}, UserKind},
		{Subject{Project: "p", Subject: "u1", Epoch: 5}, ""},
		{Subject{Project: "o", Subject: "u1", Epoch: 4}, ""},
		{Subject{Project: "p", Subject: "c1", Epoch: 4}, ""},
		{Subject{Project: "p", ClientID: "c1", Subject: "u1", Epoch: 6}, ClientKind},
		{Subject{Project: "p", ClientID: "c1", Epoch: 7}, ""},
		{Subject{Project: "q", Subject: "x", Epoch: 8}, ProjectKind},
		{Subject{Project: "q", Subject: "x", Epoch: 9}, ""},
		{Subject{Foreign: true, Family: "f1", Project: "q", Subject: "u1"}, ""},
		{Subject{Foreign: true, Issuer: "https://a", TokenID: "t1"}, TokenKind},
		{Subject{}, ""},
	} {
		if got := l.Denied(c.b); got != c.want {
			t.Errorf("%+v is denied as %q, want %q", c.b, got, c.want)
		}
	}
	if l.Len() != 5 {
		t.Errorf("%d denials, want 5", l.Len())
	}
}

func TestLaterEndAndHigherEpochStand(t *testing.T) {
	var l DenyList
	l.Add(Denial{Kind: UserKind, Scope: "p", ID: "u", Epoch: 9, Until: noon.Add(time.Minute)})
	l.Add(Denial{Kind: UserKind, Scope: "p", ID: "u", Epoch: 5, Until: noon.Add(time.Hour)})
	l.Expire(noon.Add(30 * time.Minute))
	if got := l.Denied(Subject{Project: "p", Subject: "u", Epoch: 8}); got != UserKind || l.Len() != 1 {
		t.Errorf("denied as %q, %d denials", got, l.Len())
	}
	l.Expire(noon.Add(time.Hour))
	if got := l.Denied(Subject{Project: "p", Subject: "u", Epoch: 8}); got != "" || l.Len() != 0 {
		t.Errorf("after its end denied as %q, %d denials", got, l.Len())
	}
}

func TestEndsFarAway(t *testing.T) {
	var l DenyList
	l.Add(
		Denial{Kind: FamilyKind, ID: "never", Until: time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)},
		Denial{Kind: FamilyKind, ID: "at once"},
	)
	l.Expire(noon)
	if l.Denied(Subject{Family: "never"}) != FamilyKind || l.Denied(Subject{Family: "at once"}) != "" {
		t.Error("what ends in the year 9999 is over, or what ended in the year 1 is not")
	}
}

// The list against a map, through growth, replacement, expiry and shrinking.
func TestListAgainstAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var l DenyList
	model := map[string]time.Time{}
	now := noon
	for step := range 60_000 {
		id := fmt.Sprint(random.IntN(30_000))
		switch until := now.Add(time.Duration(random.IntN(20_000)) * time.Millisecond); {
		case step%5000 == 4999:
			now = now.Add(10 * time.Second)
			if step > 50_000 {
				now = now.Add(time.Minute)
			}
			l.Expire(now)
			for id, until := range model {
				if !now.Before(until) {
					delete(model, id)
				}
			}
		default:
			l.Add(Denial{Kind: FamilyKind, ID: id, Until: until})
			model[id] = later(model[id], until)
		}
		if l.Len() != len(model) {
			t.Fatalf("step %d: %d denials, want %d", step, l.Len(), len(model))
		}
	}
	for id := range 30_000 {
		_, want := model[fmt.Sprint(id)]
		if got := l.Denied(Subject{Family: fmt.Sprint(id)}) == FamilyKind; got != want {
			t.Fatalf("%d is denied: %v, want %v", id, got, want)
		}
	}
}

// subjectOf is a token that falls under the denial.
func subjectOf(d Denial) Subject {
	switch d.Kind {
	case TokenKind:
		return Subject{Issuer: d.Scope, TokenID: d.ID}
	case FamilyKind:
		return Subject{Family: d.ID}
	case UserKind:
		return Subject{Project: d.Scope, Subject: d.ID, Epoch: d.Epoch - 1}
	case ClientKind:
		return Subject{Project: d.Scope, ClientID: d.ID, Epoch: d.Epoch - 1}
	default:
		return Subject{Project: d.Scope, Epoch: d.Epoch - 1}
	}
}

// denialsOfEveryKind are 50 of each kind, of which every third is over after a minute.
func denialsOfEveryKind() (all []Denial) {
	for i := range 50 {
		number, until := fmt.Sprint(i), noon.Add(time.Hour)
		if i%3 == 0 {
			until = noon.Add(time.Minute)
		}
		all = append(all,
			Denial{Kind: TokenKind, Scope: "https://a", ID: number, Until: until},
			Denial{Kind: FamilyKind, ID: number, Until: until},
			Denial{Kind: UserKind, Scope: "p", ID: number, Epoch: int64(i + 1), Until: until},
			Denial{Kind: ClientKind, Scope: "p", ID: number, Epoch: int64(i + 1), Until: until},
			Denial{Kind: ProjectKind, Scope: number, Epoch: int64(i + 1), Until: until})
	}
	return all
}

func TestExpireKeepsTheRest(t *testing.T) {
	var l DenyList
	all := denialsOfEveryKind()
	l.Add(all...)
	for _, now := range []time.Time{
		noon, noon.Add(time.Minute - 1), noon.Add(time.Minute), noon.Add(time.Hour - 1), noon.Add(time.Hour),
	} {
		l.Expire(now)
		left := 0
		for _, d := range all {
			want := Kind("")
			if now.Before(d.Until) {
				want = d.Kind
				left++
			}
			if got := l.Denied(subjectOf(d)); got != want {
				t.Errorf("at %v %+v is denied as %q", now, d, got)
			}
			if d.Epoch > 0 {
				b := subjectOf(d)
				b.Epoch++
				if got := l.Denied(b); got != "" {
					t.Errorf("at %v %+v denies a newer token", now, d)
				}
			}
		}
		if l.Len() != left {
			t.Errorf("at %v %d denials, want %d", now, l.Len(), left)
		}
	}
}

func TestManyDenialsAreLight(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l := fullList()
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / manyDenials; each > 200 {
		t.Errorf("%d bytes for each denial", each)
	}
	if objects := int64(after.HeapObjects) - int64(before.HeapObjects); objects > manyDenials/100 {
		t.Errorf("%d objects for the garbage collector to look at", objects)
	}
	l.Expire(noon.Add(time.Hour))
	runtime.GC()
	runtime.ReadMemStats(&after)
	if left := int64(after.HeapAlloc) - int64(before.HeapAlloc); l.Len() != 0 || left > manyDenials {
		t.Errorf("%d denials and %d bytes are left", l.Len(), left)
	}
}

func TestVersionChangesWithWhatIsAdded(t *testing.T) {
	var l, other DenyList
	seen := map[uint64]bool{}
	changes := func(what string, want bool, change func()) {
		t.Helper()
		before := l.Version()
		change()
		if got := l.Version(); (got != before) != want || want && seen[got] {
			t.Errorf("%s: version %d after %d", what, got, before)
		}
		seen[l.Version()] = true
	}
	if l.Version() != 0 {
		t.Errorf("version %d of a list to which nothing was added", l.Version())
	}
	changes("nothing", false, func() { l.Add(); l.Add(Denial{}, Denial{Kind: "planet"}); l.Expire(noon) })
	changes("an addition", true, func() { l.Add(Denial{Kind: FamilyKind, ID: "f", Until: noon}) })
	changes("an addition to another list", false, func() {
		other.Add(Denial{Kind: FamilyKind, ID: "f", Until: noon})
		if seen[other.Version()] {
			t.Errorf("two lists have version %d", other.Version())
		}
		seen[other.Version()] = true
	})
	changes(
		"a second addition",
		true,
		func() { l.Add(Denial{}, Denial{Kind: UserKind, ID: "u", Epoch: 1, Until: noon}) },
	)
	changes("a higher epoch", true, func() { l.Add(Denial{Kind: UserKind, ID: "u", Epoch: 2, Until: noon}) })
	changes("expiry", false, func() { l.Expire(noon) })
	changes("an addition after expiry", true, func() { l.Add(Denial{Kind: FamilyKind, ID: "g", Until: noon}) })
}

// remembered is a token of which somebody remembers at which version it was clear.
type remembered struct {
	bearer Subject
	stamp  atomic.Uint64
	denied atomic.Bool // Add has returned
}

func (r *remembered) clear(l *DenyList) bool {
	v := l.Version()
	if r.stamp.Load() == v {
		return true
	}
	if l.Denied(r.bearer) != "" {
		return false
	}
	r.stamp.Store(v)
	return true
}

// Whoever remembers a version finds what was added, however the questions fall among the changes.
func TestRememberedVersionsMissNothing(t *testing.T) {
	var l DenyList
	var current atomic.Pointer[remembered]
	current.Store(new(remembered))
	done := make(chan struct{})
	var readers sync.WaitGroup
	defer readers.Wait()
	defer close(done)
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				runtime.Gosched() // the writer is not to wait for a processor
				r := current.Load()
				if denied := r.denied.Load(); r.clear(&l) && denied {
					t.Errorf("%s is clear after it was denied", r.bearer.Family)
					return
				}
			}
		})
	}
	for round := range 100 {
		r := &remembered{
			bearer: Subject{
				Family:  fmt.Sprint("f", round),
				Project: "p",
				Subject: fmt.Sprint("u", round),
				Epoch:   int64(round),
			},
		}
		batch := make([]Denial, 100)
		for i := range batch {
			batch[i] = Denial{Kind: FamilyKind, ID: fmt.Sprint(round, i), Until: noon.Add(time.Hour)}
		}
		last := Denial{Kind: FamilyKind, ID: r.bearer.Family, Until: noon.Add(time.Hour)}
		if round%2 == 1 {
			last = Denial{
				Kind:  UserKind,
				Scope: "p",
				ID:    r.bearer.Subject,
				Epoch: int64(round + 1),
				Until: noon.Add(time.Hour),
			}
		}
		current.Store(r)
		for r.stamp.Load() != l.Version() { // a reader has asked
			runtime.Gosched()
		}
		l.Add(append(batch, last)...)
		r.denied.Store(true)
		if r.clear(&l) {
			t.Fatalf("round %d: clear after it was denied", round)
		}
	}
}

func TestChangedTellsOfAdditions(t *testing.T) {
	var l DenyList
	changed := l.Changed()
	l.Add(Denial{})
	l.Expire(noon)
	select {
	case <-changed:
		t.Fatal("told without an addition")
	default:
	}
	l.Add(Denial{Kind: FamilyKind, ID: "f", Until: noon})
	<-changed
	select {
	case <-l.Changed():
		t.Fatal("told twice")
	default:
	}
}

// What stands is found at every moment, whatever is added, replaced and taken out meanwhile.
func TestReadingWhileChanging(t *testing.T) {
	var l DenyList
	l.Add(Denial{Kind: FamilyKind, ID: "stays", Until: noon.Add(time.Hour)},
		Denial{Kind: UserKind, Scope: "p", ID: "stays", Epoch: 3, Until: noon.Add(time.Hour)})
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if l.Denied(Subject{Family: "stays"}) != FamilyKind ||
					l.Denied(Subject{Project: "p", Subject: "stays"}) != UserKind {
					t.Error("a standing denial was not found")
					return
				}
				if l.Denied(Subject{Family: "never", Epoch: 3}) != "" {
					t.Error("denied what was not")
					return
				}
			}
		})
	}
	for round := range 20 {
		for i := range 300 {
			l.Add(
				Denial{Kind: FamilyKind, ID: fmt.Sprint(round, i), Until: noon.Add(time.Minute)},
				Denial{Kind: FamilyKind, ID: "stays", Until: noon},
			)
		}
		l.Expire(noon.Add(time.Minute))
	}
	close(done)
	readers.Wait()
	if l.Len() != 2 {
		t.Errorf("%d denials left, want 2", l.Len())
	}
}

// standing is what the test knows of a denial while the list is changed: a number that grows with
// each step of its life.
type standing struct{ atomic.Uint32 }

const (
	absent = iota
	coming
	stands
	going
	steps
)

// check asks the list, and judges where nothing was under way.
func (s *standing) check(l *DenyList, family string) error {
	before := s.Load()
	got := l.Denied(Subject{Family: family})
	switch step := before % steps; {
	case s.Load() != before || step == coming || step == going:
	case step == stands && got != FamilyKind:
		return fmt.Errorf("%s stands and was not found", family)
	case step == absent && got != "":
		return fmt.Errorf("%s is absent and was found", family)
	}
	return nil
}

// revocation is what the test knows of the revocations against a user.
type revocation struct{ begun, stands atomic.Int64 }

func (o *revocation) check(l *DenyList, user string) error {
	b := Subject{Project: "p", Subject: user, Epoch: o.stands.Load() - 1}
	if b.Epoch >= 0 && l.Denied(b) != UserKind {
		return fmt.Errorf("a token of %s with epoch %d was not denied", user, b.Epoch)
	}
	b.Epoch = o.begun.Load()
	if got := l.Denied(b); got != "" && o.begun.Load() == b.Epoch {
		return fmt.Errorf("a token of %s with epoch %d was denied", user, b.Epoch)
	}
	return nil
}

// changing is a list beside what must be found in it.
type changing struct {
	l      DenyList
	lasts  [5000]standing // added by one goroutine
	passes [200]standing  // added and taken out again by another
	users  [10]revocation // raised by a third
	adding atomic.Int64   // which of lasts it is the turn of
}

func (c *changing) addLasting() {
	for i := range c.lasts {
		c.adding.Store(int64(i))
		c.lasts[i].Add(1)
		c.l.Add(Denial{Kind: FamilyKind, ID: fmt.Sprint("lasts", i), Until: noon.Add(24 * time.Hour)})
		c.lasts[i].Add(1)
	}
}

func (c *changing) addAndExpire() {
	for round := range 30 {
		until := noon.Add(time.Duration(round) * time.Minute)
		for i := range c.passes {
			c.passes[i].Add(1)
			c.l.Add(Denial{Kind: FamilyKind, ID: fmt.Sprint("passes", i), Until: until})
			c.passes[i].Add(1)
		}
		for i := range c.passes {
			c.passes[i].Add(1)
		}
		c.l.Expire(until)
		for i := range c.passes {
			c.passes[i].Add(1)
		}
	}
}

func (c *changing) raise() {
	for epoch := int64(1); epoch <= 300; epoch++ {
		for i := range c.users {
			c.users[i].begun.Store(epoch)
			c.l.Add(
				Denial{Kind: UserKind, Scope: "p", ID: fmt.Sprint(i), Epoch: epoch, Until: noon.Add(24 * time.Hour)},
			)
			c.users[i].stands.Store(epoch)
		}
	}
}

func (c *changing) check(i int) error {
	pass, user := i%len(c.passes), i%len(c.users)
	for _, last := range []int{i % len(c.lasts), int(c.adding.Load())} {
		if err := c.lasts[last].check(&c.l, fmt.Sprint("lasts", last)); err != nil {
			return err
		}
	}
	if err := c.passes[pass].check(&c.l, fmt.Sprint("passes", pass)); err != nil {
		return err
	}
	if got := c.l.Denied(Subject{Family: fmt.Sprint("never", i), Project: "q", Subject: fmt.Sprint(user)}); got != "" {
		return fmt.Errorf("what was never added is denied as %q", got)
	}
	return c.users[user].check(&c.l, fmt.Sprint(user))
}

// What stood when the question began is found and what never stood is not, while the list grows,
// shrinks and is raised.
func TestListAgainstWhatIsKnownWhileChanging(t *testing.T) {
	c := new(changing)
	done := make(chan struct{})
	var readers, writers sync.WaitGroup
	for seed := range uint64(2) {
		readers.Go(func() {
			for random := rand.New(rand.NewPCG(seed, 3)); ; {
				select {
				case <-done:
					return
				default:
				}
				runtime.Gosched() // whoever was given the lock is not to wait for a processor
				if err := c.check(random.IntN(len(c.lasts))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Go(c.addLasting)
	writers.Go(c.addAndExpire)
	writers.Go(c.raise)
	writers.Wait()
	close(done)
	readers.Wait()
	for i := range c.lasts {
		if err := c.check(i); err != nil {
			t.Fatal(err)
		}
	}
	if want := len(c.lasts) + len(c.users); c.l.Len() != want {
		t.Errorf("%d denials, want %d", c.l.Len(), want)
	}
}

const manyDenials = 100_000

func fullList() *DenyList {
	l := new(DenyList)
	for i := range manyDenials {
		l.Add(Denial{Kind: FamilyKind, ID: fmt.Sprintf("FAMILYFAMILYFAMILY%08d", i), Until: noon.Add(time.Hour)})
	}
	l.Add(Denial{Kind: UserKind, Scope: "default", ID: "mallory", Epoch: 1_772_366_400_000, Until: noon.Add(time.Hour)})
	return l
}

// innocents are tokens which are not denied; old ones were made before the last revocation, so that
// owners are looked up, too.
func innocents(epoch int64) []Subject {
	all := make([]Subject, 1024)
	for i := range all {
		all[i] = Subject{
			Issuer:  "https://auth.example.com",
			TokenID: fmt.Sprintf("TOKENTOKENTOKENTOK%08d", i),
			Family:  fmt.Sprintf("INNOCENTINNOCENTIN%08d", i),
			Project: "default", Subject: fmt.Sprint("user", i), ClientID: "web", Epoch: epoch,
		}
	}
	return all
}

func BenchmarkDenied(b *testing.B) {
	l := fullList()
	fresh, old := innocents(1_772_366_400_000), innocents(1_772_366_399_999)
	denied := make([]Subject, 1024)
	for i := range denied {
		denied[i] = Subject{
			Issuer:  "https://auth.example.com",
			TokenID: fmt.Sprint(i),
			Family:  fmt.Sprintf("FAMILYFAMILYFAMILY%08d", i*97),
		}
	}
	for _, c := range []struct {
		name   string
		tokens []Subject
		want   Kind
	}{{"innocent", fresh, ""}, {"older than a revocation", old, ""}, {"denied", denied, FamilyKind}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if l.Denied(c.tokens[i%1024]) != c.want {
					b.Fatal("wrong")
				}
			}
		})
	}
	b.Run("innocent, parallel", func(b *testing.B) { readParallel(b, l, fresh) })
	b.Run("innocent, parallel, beside 20 changes each millisecond", func(b *testing.B) {
		done := make(chan struct{})
		var writer sync.WaitGroup
		writer.Go(func() { changeUntil(done, l) })
		readParallel(b, l, fresh)
		close(done)
		writer.Wait()
	})
}

func readParallel(b *testing.B, l *DenyList, tokens []Subject) {
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if l.Denied(tokens[i%1024]) != "" {
				b.Error("wrong")
			}
		}
	})
}

func changeUntil(done <-chan struct{}, l *DenyList) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		case <-tick.C:
			for j := range 20 {
				l.Add(Denial{Kind: FamilyKind, ID: fmt.Sprint("late", i%500, j), Until: noon.Add(time.Hour)})
			}
		}
	}
}

// randomIDs are ids of which nothing is in a cache because of another. Their text stands in one
// piece, so that reading one after the other costs nothing worth measuring.
func randomIDs(seed uint64) []string {
	const length = 26
	random := rand.New(rand.NewPCG(seed, 5))
	var text strings.Builder
	for range manyDenials {
		fmt.Fprintf(&text, "%013x%013x", random.Uint64()>>12, random.Uint64()>>12)
	}
	ids := make([]string, manyDenials)
	for i := range ids {
		ids[i] = text.String()[i*length : (i+1)*length]
	}
	return ids
}

// Every question is for another id, so that the place where it would stand has to be fetched from
// afar.
func BenchmarkDeniedAtRandom(b *testing.B) {
	var l DenyList
	present, absent := randomIDs(1), randomIDs(2)
	for _, i := range rand.New(rand.NewPCG(3, 5)).Perm(manyDenials) { // not in the order of the questions
		l.Add(Denial{Kind: FamilyKind, ID: strings.Clone(present[i]), Until: noon.Add(time.Hour)})
	}
	for _, c := range []struct {
		name string
		ids  []string
		want Kind
	}{{"hit", present, FamilyKind}, {"miss", absent, ""}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if l.Denied(Subject{Family: c.ids[i%manyDenials]}) != c.want {
					b.Fatal("wrong")
				}
			}
		})
	}
}

// A list that grows to its full length again and again.
func BenchmarkAdd(b *testing.B) {
	ids := randomIDs(4)
	l := new(DenyList)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%manyDenials == 0 {
			l = new(DenyList)
		}
		l.Add(Denial{Kind: FamilyKind, ID: ids[i%manyDenials], Until: noon.Add(time.Hour)})
	}
	if l.Len() == 0 {
		b.Fatal("nothing was added")
	}
}

func BenchmarkAddToFullList(b *testing.B) {
	l := fullList()
	for i := 0; b.Loop(); i++ {
		l.Add(Denial{Kind: FamilyKind, ID: fmt.Sprint(i % manyDenials), Until: noon.Add(time.Hour)})
	}
}

func BenchmarkExpireFullList(b *testing.B) {
	l := fullList()
	for b.Loop() {
		l.Expire(noon)
	}
}

// What the list costs the garbage collector.
func BenchmarkCollectBesideFullList(b *testing.B) {
	l := fullList()
	for b.Loop() {
		runtime.GC()
	}
	if l.Len() != manyDenials+1 {
		b.Fatal("the list has lost something")
	}
}
