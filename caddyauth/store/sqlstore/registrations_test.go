package sqlstore

import (
	"errors"
	"reflect"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/device"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

// registered is a public client that registered itself.
func registered(id string) clients.Client {
	return clients.Client{
		ID:      id,
		Project: project.Default,
		Name:    "Self",
		Settings: clients.Settings{
			RedirectURIs: []string{"http://127.0.0.1/cb"},
			AuthMethod:   clients.AuthNone,
			Source:       clients.Registered,
		},
		Scopes:  []string{"read"},
		Active:  true,
		Version: 1,
		Created: noon,
		Changed: noon,
	}
}

const documentID = "https://app.example/oauth/client.json"

// documented is the client of a metadata document.
func documented() clients.Client {
	c := registered(documentID)
	c.Source = clients.MetadataDocument
	return c
}

// Of 200 identical registrations at the same time on two nodes one adds a client, and all get it.
func TestIdenticalRegistrationsAreOneClient(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes := []*Store{open(), open()}
		reconcile(t, nodes[0], Declaration{})
		var mu sync.Mutex
		got := map[string]int{}
		atOnce(200, func(i int) {
			c, err := nodes[i%2].AddRegistered(t.Context(), registered("r"+strconv.Itoa(i)),
				clients.Registration{Fingerprint: "same"})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			got[c.ID]++
		})
		all, err := nodes[0].ListClients(t.Context(), "", project.Page{Limit: 300})
		if err != nil || len(all) != 1 || got[all[0].ID] != 200 {
			t.Errorf("the store has %d clients, the registrations got %v; %v", len(all), got, err)
		}
		other, err := open().AddRegistered(t.Context(), registered("other"), clients.Registration{Fingerprint: "other"})
		if err != nil || other.ID != "other" {
			t.Errorf("another registration got %q, %v", other.ID, err)
		}
	})
}

func TestRegistrationsComeBackWhole(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		reconcile(t, s, Declaration{})
		want := registered("r1")
		_, err := s.AddRegistered(t.Context(), want, clients.Registration{Token: "hash"})
		must(t, err)
		got, r, err := open().FindRegistered(t.Context(), "r1")
		if err != nil || !reflect.DeepEqual(got, want) || r.Token != "hash" || r.Fingerprint != "r1" {
			t.Errorf("found %+v, %+v, %v", got, r, err)
		}
		if _, err := s.AddRegistered(t.Context(), want, clients.Registration{Fingerprint: "x"}); err == nil {
			t.Error("an id was registered twice")
		}
		must(t, s.AddClient(t.Context(), reports(project.Default)))
		for _, id := range []string{"reports", "nobody"} {
			if _, _, err := s.FindRegistered(t.Context(), id); !errors.Is(err, clients.ErrNotFound) {
				t.Errorf("%s: %v", id, err)
			}
		}

		// What the client changes of itself asks people anew, and what is removed is gone for good.
		person := alice()
		must(t, s.AddUser(t.Context(), person))
		must(t, s.GiveConsent(t.Context(), allowed(person, "r1", noon, "read")))
		got.Name = "Changed"
		changed, err := s.ChangeRegistered(t.Context(), got, noon.Add(time.Minute))
		if err != nil || changed.Version != 2 || changed.Name != "Changed" {
			t.Errorf("changed to %+v, %v", changed, err)
		}
		if _, err := s.ChangeRegistered(t.Context(), got, noon); !errors.Is(err, project.ErrChanged) {
			t.Errorf("a change of an old version: %v", err)
		}
		if _, err := s.FindConsent(t.Context(), person.ID, "r1"); err == nil {
			t.Error("the consent is still there")
		}
		must(t, s.RemoveClient(t.Context(), "r1", 0))
		again, err := s.AddRegistered(t.Context(), registered("r2"), clients.Registration{Fingerprint: "r1"})
		if err != nil || again.ID != "r2" {
			t.Errorf("after the removal: %q, %v", again.ID, err)
		}
	})
}

// A document says what a client is, and the operator whether it may be.
func TestDocumentsArePutOverTheirCopy(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		reconcile(t, s, Declaration{})
		person := alice()
		must(t, s.AddUser(t.Context(), person))
		put := func(c clients.Client, at time.Time) clients.Client {
			t.Helper()
			must(t, s.PutDocument(t.Context(), c, clients.Registration{Fresh: at.Add(time.Hour)}, at))
			stored, r, err := s.FindRegistered(t.Context(), documentID)
			if err != nil || !r.Fresh.Equal(at.Add(time.Hour)) {
				t.Fatalf("%+v, %v", r, err)
			}
			return stored
		}
		first := put(documented(), noon)
		must(t, s.GiveConsent(t.Context(), allowed(person, documentID, noon, "read")))

		paused := first
		paused.Active, paused.Claims = false, map[string]any{"tier": "gold"}
		_, err := s.ChangeClient(t.Context(), paused, noon)
		must(t, err)
		if same := put(documented(), noon.Add(time.Minute)); same.Active || same.Version != 2 {
			t.Errorf("the same document made %+v", same)
		}
		if _, err := s.FindConsent(t.Context(), person.ID, documentID); err != nil {
			t.Errorf("the same document: %v", err)
		}
		moved := documented()
		moved.RedirectURIs = []string{"https://app.example/cb"}
		got := put(moved, noon.Add(2*time.Minute))
		if got.Active || got.Claims["tier"] != "gold" || got.Version != 3 ||
			!got.RedirectURI("https://app.example/cb") || got.RedirectURI("http://127.0.0.1/cb") {
			t.Errorf("the new document made %+v", got)
		}
		if _, err := s.FindConsent(t.Context(), person.ID, documentID); err == nil {
			t.Error("people are not asked anew")
		}
		atOnce(50, func(i int) {
			c := documented()
			c.Name = strconv.Itoa(i)
			if err := s.PutDocument(t.Context(), c, clients.Registration{Fresh: noon}, noon); err != nil {
				t.Error(err)
			}
		})
	})
}

// wantClients demands that these clients are left.
func wantClients(t *testing.T, s *Store, want ...string) {
	t.Helper()
	all, err := s.ListClients(t.Context(), "", project.Page{Limit: 10})
	must(t, err)
	var left []string
	for _, c := range all {
		left = append(left, c.ID)
	}
	if !reflect.DeepEqual(left, want) {
		t.Errorf("left are %q, want %q", left, want)
	}
}

func TestUnusedClientsAreForgotten(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		reconcile(t, s, Declaration{})
		for _, id := range []string{"unused", "unused2", "used", "paused", "session"} {
			_, err := s.AddRegistered(t.Context(), registered(id), clients.Registration{Fingerprint: id})
			must(t, err)
		}
		must(t, s.PutDocument(t.Context(), documented(), clients.Registration{Fresh: noon}, noon))
		must(t, s.NoteUse(t.Context(), "used", noon.Add(time.Hour)))
		must(t, s.NoteUse(t.Context(), "used", noon.Add(-time.Hour))) // a clock that is behind
		paused := registered("paused")
		paused.Active = false
		_, err := s.ChangeClient(t.Context(), paused, noon)
		must(t, err)
		r := requestFor("alice", 0)
		r.ClientID = "session"
		begun(t, sessionsOn(s), r)
		for _, c := range []struct {
			before  time.Time
			n, want int
		}{
			{noon, 10, 0},
			{noon.Add(time.Minute), 1, 1},
			{noon.Add(time.Minute), 10, 1},
			{noon.Add(time.Minute), 10, 0},
		} {
			if n, err := s.ForgetUnused(t.Context(), clients.Registered, c.before, c.n); err != nil || n != c.want {
				t.Errorf("before %v, at most %d: forgot %d, %v; want %d", c.before, c.n, n, err, c.want)
			}
		}
		wantClients(t, s, documentID, "paused", "session", "used")
	})
}

// TestClientsThatNobodyAllowedAnythingAreForgotten sooner than others: whom a person allowed something,
// by the page of consent or as a device, stays, also when that was withdrawn.
func TestClientsThatNobodyAllowedAnythingAreForgotten(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		reconcile(t, s, Declaration{})
		must(t, s.AddUser(t.Context(), alice()))
		person, err := s.FindUser(t.Context(), project.Default, "alice")
		must(t, err)
		for _, id := range []string{"new", "visited", "allowed", "withdrawn", "tv", "refused", "session"} {
			_, err := s.AddRegistered(t.Context(), registered(id), clients.Registration{Fingerprint: id})
			must(t, err)
		}
		must(t, s.NoteUse(t.Context(), "visited", noon.Add(time.Hour)))
		for _, id := range []string{"allowed", "withdrawn"} {
			must(t, s.GiveConsent(t.Context(), allowed(*person, id, noon, "read")))
		}
		given, err := s.FindConsent(t.Context(), person.ID, "withdrawn")
		must(t, err)
		_, err = s.WithdrawConsent(t.Context(), given.ID, noon)
		must(t, err)
		for id, approved := range map[string]bool{"tv": true, "refused": false} {
			a := device.Authorization{ClientID: id, Project: project.Default}
			a, _ = device.New(a, device.DefaultLifetime, noon)
			must(t, s.AddDevice(t.Context(), a))
			must(t, s.DecideDevice(t.Context(), a.Hash, byAlice(""), approved, noon))
		}
		r := requestFor("alice", 0)
		r.ClientID = "session"
		begun(t, sessionsOn(s), r)

		for _, c := range []struct {
			before time.Time
			want   int
		}{{noon, 0}, {noon.Add(time.Minute), 2}, {noon.Add(2 * time.Hour), 1}, {noon.Add(2 * time.Hour), 0}} {
			n, err := s.ForgetUnapproved(t.Context(), clients.Registered, c.before, 10)
			if err != nil || n != c.want {
				t.Errorf("before %v: forgot %d, %v; want %d", c.before, n, err, c.want)
			}
		}
		wantClients(t, s, "allowed", "session", "tv", "withdrawn")
	})
}

// TestClientsThatNobodyAllowedAnythingMakeRoom, however often they are used: anybody can name them.
func TestClientsThatNobodyAllowedAnythingMakeRoom(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		reconcile(t, s, Declaration{})
		must(t, s.AddUser(t.Context(), alice()))
		person, err := s.FindUser(t.Context(), project.Default, "alice")
		must(t, err)
		add := func(id string, came time.Time) error {
			c := registered(id)
			c.Created = came
			_, err := s.AddRegistered(t.Context(), c,
				clients.Registration{Fingerprint: id, AtMost: 4, RoomBefore: noon.Add(time.Hour)})
			return err
		}
		for _, id := range []string{"used", "allowed", "paused", "session"} {
			must(t, add(id, noon))
		}
		must(t, s.NoteUse(t.Context(), "used", noon.Add(2*time.Hour)))
		must(t, s.GiveConsent(t.Context(), allowed(*person, "allowed", noon, "read")))
		paused := registered("paused")
		paused.Active = false
		_, err = s.ChangeClient(t.Context(), paused, noon)
		must(t, err)
		r := requestFor("alice", 0)
		r.ClientID = "session"
		begun(t, sessionsOn(s), r)

		must(t, add("new", noon.Add(2*time.Hour)))
		if err := add("newer", noon.Add(2*time.Hour)); !errors.Is(err, clients.ErrTooMany) {
			t.Errorf("a client that came lately made room: %v", err)
		}
		wantClients(t, s, "allowed", "new", "paused", "session")
	})
}

// TestNoMoreClientsThanMayCome: each source has its own number, and what is known already counts once.
func TestNoMoreClientsThanMayCome(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		reconcile(t, s, Declaration{})
		for _, c := range []struct {
			id, print string
			atMost    int
			want      error
		}{
			{"a", "a", 2, nil},
			{"b", "b", 2, nil},
			{"c", "c", 2, clients.ErrTooMany},
			{"c", "a", 2, nil}, // it is a
			{"c", "c", 3, nil},
			{"d", "d", 0, nil},
		} {
			r := clients.Registration{Fingerprint: c.print, AtMost: c.atMost}
			if _, err := s.AddRegistered(t.Context(), registered(c.id), r); !errors.Is(err, c.want) {
				t.Errorf("%+v: %v", c, err)
			}
		}
		first, second := documented(), documented()
		second.ID += "/2"
		for i, c := range []struct {
			client clients.Client
			want   error
		}{{first, nil}, {second, clients.ErrTooMany}, {first, nil}} {
			err := s.PutDocument(t.Context(), c.client, clients.Registration{Fresh: noon, AtMost: 1}, noon)
			if !errors.Is(err, c.want) {
				t.Errorf("document %d: %v, want %v", i, err, c.want)
			}
		}
		all, err := s.ListClients(t.Context(), "", project.Page{Limit: 10})
		must(t, err)
		if len(all) != 5 {
			t.Errorf("%d clients", len(all))
		}
	})
}
