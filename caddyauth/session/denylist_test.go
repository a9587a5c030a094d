package session

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

func TestDeniedKinds(t *testing.T) {
	var l DenyList
	if got := l.Denied(Bearer{Family: "f"}); got != "" {
		t.Errorf("the empty list denies %q", got)
	}
	l.Add(
		Denial{Kind: FamilyKind, ID: "f1", Until: noon},
		Denial{Kind: TokenKind, Scope: "https://a", ID: "t1", Until: noon},
		Denial{Kind: UserKind, Scope: "p", ID: "u1", Epoch: 5, Until: noon},
		Denial{Kind: ClientKind, Scope: "p", ID: "c1", Epoch: 7, Until: noon},
		Denial{Kind: ProjectKind, Scope: "q", Epoch: 9, Until: noon},
		Denial{},
	)
	for _, c := range []struct {
		b    Bearer
		want Kind
	}{
		{Bearer{Family: "f1", Epoch: 99}, FamilyKind},
		{Bearer{Family: "f2", Epoch: 99}, ""},
		{Bearer{Issuer: "https://a", TokenID: "t1", Epoch: 99}, TokenKind},
		{Bearer{Issuer: "https://b", TokenID: "t1", Epoch: 99}, ""},
		{Bearer{Issuer: "https://a", TokenID: "t2", Epoch: 99}, ""},
		{Bearer{Project: "p", Subject: "u1", Epoch: 4}, UserKind},
		{Bearer{Project: "p", Subject: "u1"}, UserKind},
		{Bearer{Project: "p", Subject: "u1", Epoch: 5}, ""},
		{Bearer{Project: "o", Subject: "u1", Epoch: 4}, ""},
		{Bearer{Project: "p", Subject: "c1", Epoch: 4}, ""},
		{Bearer{Project: "p", ClientID: "c1", Subject: "u1", Epoch: 6}, ClientKind},
		{Bearer{Project: "p", ClientID: "c1", Epoch: 7}, ""},
		{Bearer{Project: "q", Subject: "x", Epoch: 8}, ProjectKind},
		{Bearer{Project: "q", Subject: "x", Epoch: 9}, ""},
		{Bearer{Foreign: true, Family: "f1", Project: "q", Subject: "u1"}, ""},
		{Bearer{Foreign: true, Issuer: "https://a", TokenID: "t1"}, TokenKind},
		{Bearer{}, ""},
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
	if got := l.Denied(Bearer{Project: "p", Subject: "u", Epoch: 8}); got != UserKind || l.Len() != 1 {
		t.Errorf("denied as %q, %d denials", got, l.Len())
	}
	l.Expire(noon.Add(time.Hour))
	if got := l.Denied(Bearer{Project: "p", Subject: "u", Epoch: 8}); got != "" || l.Len() != 0 {
		t.Errorf("after its end denied as %q, %d denials", got, l.Len())
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
		if got := l.Denied(Bearer{Family: fmt.Sprint(id)}) == FamilyKind; got != want {
			t.Fatalf("%d is denied: %v, want %v", id, got, want)
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
				if l.Denied(Bearer{Family: "stays"}) != FamilyKind || l.Denied(Bearer{Project: "p", Subject: "stays"}) != UserKind {
					t.Error("a standing denial was not found")
					return
				}
				if l.Denied(Bearer{Family: "never", Epoch: 3}) != "" {
					t.Error("denied what was not")
					return
				}
			}
		})
	}
	for round := range 20 {
		for i := range 300 {
			l.Add(Denial{Kind: FamilyKind, ID: fmt.Sprint(round, i), Until: noon.Add(time.Minute)}, Denial{Kind: FamilyKind, ID: "stays", Until: noon})
		}
		l.Expire(noon.Add(time.Minute))
	}
	close(done)
	readers.Wait()
	if l.Len() != 2 {
		t.Errorf("%d denials left, want 2", l.Len())
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

// innocents are tokens which are not denied; old ones were made before the last order, so that owners are looked up, too.
func innocents(epoch int64) []Bearer {
	all := make([]Bearer, 1024)
	for i := range all {
		all[i] = Bearer{
			Issuer: "https://auth.example.com", TokenID: fmt.Sprintf("TOKENTOKENTOKENTOK%08d", i), Family: fmt.Sprintf("INNOCENTINNOCENTIN%08d", i),
			Project: "default", Subject: fmt.Sprint("user", i), ClientID: "web", Epoch: epoch,
		}
	}
	return all
}

func BenchmarkDenied(b *testing.B) {
	l := fullList()
	fresh, old := innocents(1_772_366_400_000), innocents(1_772_366_399_999)
	denied := make([]Bearer, 1024)
	for i := range denied {
		denied[i] = Bearer{Issuer: "https://auth.example.com", TokenID: fmt.Sprint(i), Family: fmt.Sprintf("FAMILYFAMILYFAMILY%08d", i*97)}
	}
	for _, c := range []struct {
		name   string
		tokens []Bearer
		want   Kind
	}{{"innocent", fresh, ""}, {"older than an order", old, ""}, {"denied", denied, FamilyKind}} {
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

func readParallel(b *testing.B, l *DenyList, tokens []Bearer) {
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
