package sqlstore

import (
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/device"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
)

// tvRequest is the request of a device, and its code's hash.
func tvRequest() device.Authorization {
	a, _ := device.New(device.Authorization{
		ClientID: "reports",
		Project:  "acme",
		Scopes:   []string{"openid", "read"},
		Audience: []string{"api"},
		JKT:      "key",
		ClientIP: "192.0.2.7",
	}, device.DefaultLifetime, noon)
	return a
}

// byAlice is alice's decision in a session.
func byAlice(session string) device.Approval {
	return device.Approval{
		Subject:  "Alice",
		Account:  "alice",
		Session:  session,
		AuthTime: noon.Add(-time.Minute),
		ACR:      "pwd",
		AMR:      []string{"pwd"},
		Epoch:    1,
	}
}

func TestDeviceRequestComesBackWhole(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		x, other := newTenants(t, open()), open()
		sso := x.sso(t, "sso")
		a := tvRequest()
		must(t, x.AddDevice(t.Context(), a))
		got, err := other.FindDevice(t.Context(), a.UserCode, noon)
		must(t, err)
		same(t, got, a)
		twice := tvRequest()
		twice.UserCode = a.UserCode
		fails(t, x.AddDevice(t.Context(), twice), device.ErrTaken)
		_, err = other.FindDevice(t.Context(), "BCDFGHJK", noon)
		fails(t, err, device.ErrNotFound)
		_, err = other.FindDevice(t.Context(), a.UserCode, a.Expires)
		fails(t, err, device.ErrNotFound)

		must(t, x.DecideDevice(t.Context(), a.Hash, byAlice("sso"), true, noon))
		parties, err := x.FindParties(t.Context(), "acme", "reports", "alice")
		must(t, err)
		want := a
		want.State, want.Approval = device.Approved, byAlice("sso")
		want.SessionEnds, want.Epoch = sso.Ends, parties.Epoch
		got, err = other.FindDevice(t.Context(), a.UserCode, noon)
		must(t, err)
		same(t, got, want)
		fails(t, x.DecideDevice(t.Context(), a.Hash, byAlice("sso"), false, noon), device.ErrDecided)
		fails(t, x.DecideDevice(t.Context(), "absent", byAlice("sso"), true, noon), device.ErrNotFound)
	})
}

// What a device was allowed is given out once, however many polls come at once, and its grant ends
// with the session of the person.
func TestDeviceIsGivenItsGrantOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes := []*Store{open(), open()}
		x := newTenants(t, nodes[0])
		x.sso(t, "sso")
		a := tvRequest()
		must(t, x.AddDevice(t.Context(), a))
		must(t, x.DecideDevice(t.Context(), a.Hash, byAlice("sso"), true, noon))
		var granted, replayed atomic.Int64
		atOnce(parallel, func(i int) {
			g := wholeGrant("device-" + strconv.Itoa(i))
			g.Project, g.Subject, g.ClientID, g.Epoch, g.Parent = "acme", "Alice", "reports", 1, "sso"
			verdict, _, err := nodes[i%2].RedeemDevice(t.Context(),
				device.Redemption{Hash: a.Hash, Session: "sso", Grant: g}, noon)
			switch {
			case err != nil:
				t.Error(err)
			case verdict == device.Granted:
				granted.Add(1)
			case verdict == device.Replayed:
				replayed.Add(1)
			}
		})
		if granted.Load() != 1 || replayed.Load() != parallel-1 {
			t.Errorf("%d times granted, %d times replayed", granted.Load(), replayed.Load())
		}
		used, err := x.FindDevice(t.Context(), a.UserCode, noon)
		must(t, err)
		g, err := x.FindGrant(t.Context(), used.Granted)
		if err != nil || used.State != device.Used || g.Revoked.IsZero() {
			t.Errorf("a code that was used twice left %+v, %v of %+v", g, err, used)
		}
	})
}

// Whoever has ended meanwhile is given nothing: neither the decision nor the grant is stored.
func TestDevicesOfThoseWhoHaveEnded(t *testing.T) {
	rows := []struct {
		name string
		end  func(t *testing.T, x *tenants)
	}{
		{"session", func(t *testing.T, x *tenants) {
			_, err := x.RevokeGrant(t.Context(), "sso", "logout", noon)
			must(t, err)
		}},
		{"user", func(t *testing.T, x *tenants) {
			o := revocation.Revocation{Kind: revocation.UserKind, Project: "acme", ID: "Alice", Reason: "disabled"}
			_, _, err := x.RevokeAll(t.Context(), o, noon)
			must(t, err)
		}},
		{"client", func(t *testing.T, x *tenants) { must(t, x.RemoveClient(t.Context(), "reports", 0)) }},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, open func() *Store) {
				x := newTenants(t, open())
				x.sso(t, "sso")
				before, after := tvRequest(), tvRequest()
				must(t, x.AddDevice(t.Context(), before))
				must(t, x.AddDevice(t.Context(), after))
				must(t, x.DecideDevice(t.Context(), before.Hash, byAlice("sso"), true, noon))
				row.end(t, x)
				fails(t, x.DecideDevice(t.Context(), after.Hash, byAlice("sso"), true, noon), device.ErrOvertaken)
				must(
					t,
					x.DecideDevice(t.Context(), after.Hash, byAlice("sso"), false, noon),
				) // a refusal always counts
				g := wholeGrant("late")
				g.Project, g.Subject, g.ClientID, g.Epoch, g.Parent = "acme", "Alice", "reports", 1, "sso"
				verdict, _, err := x.RedeemDevice(t.Context(),
					device.Redemption{Hash: before.Hash, Session: "sso", Grant: g}, noon)
				if err != nil || verdict != device.NotAllowed {
					t.Errorf("%s, %v", verdict, err)
				}
				if _, err := x.FindGrant(t.Context(), "late"); err == nil {
					t.Error("a grant began")
				}
			})
		})
	}
}

func TestPollsAreStored(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		x, other := newTenants(t, open()), open()
		a := tvRequest()
		must(t, x.AddDevice(t.Context(), a))
		polls := []struct {
			at   time.Duration
			want device.Verdict
		}{{0, device.StillOpen}, {time.Second, device.TooFast}, {10 * time.Second, device.TooFast}, {26 * time.Second,
			device.StillOpen}}
		for i, p := range polls {
			_, verdict, err := []*Store{x.Store, other}[i%2].PollDevice(
				t.Context(),
				a.Hash,
				"reports",
				"key",
				noon.Add(p.at),
			)
			if err != nil || verdict != p.want {
				t.Errorf("after %v: %s, %v; want %s", p.at, verdict, err, p.want)
			}
		}
		if _, verdict, err := x.PollDevice(t.Context(), "absent", "reports", "key", noon); err != nil ||
			verdict != device.Unknown {
			t.Errorf("an absent code: %s, %v", verdict, err)
		}
		n, err := x.DeleteDevices(t.Context(), a.Expires.Add(time.Millisecond), 10)
		if err != nil || n != 1 {
			t.Errorf("deleted %d, %v", n, err)
		}
	})
}
