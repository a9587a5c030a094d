package endsession

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/backchannel"
	"github.com/caddyauth/gateway/caddyauth/web/egress"
)

// queue is a store of one notice.
type queue struct {
	mu     sync.Mutex
	notice backchannel.Notice
	due    time.Time
	gone   bool
	fail   error
}

func (q *queue) TakeNotices(_ context.Context, now time.Time, _ int, _ []string) ([]backchannel.Notice, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.fail != nil || q.gone || now.Before(q.due) {
		return nil, q.fail
	}
	q.notice.Attempts++
	q.due = now.Add(backchannel.Lease)
	return []backchannel.Notice{q.notice}, nil
}

func (q *queue) KeepNotice(_ context.Context, n backchannel.Notice, at time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.due = at
	return q.fail
}

func (q *queue) DropNotice(context.Context, backchannel.Notice) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.gone = true
	return q.fail
}

func newNotice(uri string, now time.Time) backchannel.Notice {
	return backchannel.Notice{
		ClientID: "rp", URI: uri, Algorithm: "RS256", Project: "default", Subject: "alice", Session: "s1",
		Expires: now.Add(backchannel.Lifetime),
	}
}

func newSender(q *queue, events *[]audit.Event) *Sender {
	return &Sender{
		Store: q,
		Token: func(_ context.Context, n backchannel.Notice, _ time.Time) (string, error) {
			return "token of " + n.Session, nil
		},
		Client: &egress.Client{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		Events: func(_ context.Context, e audit.Event) { *events = append(*events, e) },
	}
}

// roundTripper answers with statuses in order, the last one again and again; 0 is no answer.
type roundTripper struct {
	statuses []int
	times    []time.Time
}

func (r *roundTripper) RoundTrip(*http.Request) (*http.Response, error) {
	status := r.statuses[min(len(r.times), len(r.statuses)-1)]
	r.times = append(r.times, time.Now())
	if status == 0 {
		return nil, errors.New("no answer")
	}
	return &http.Response{StatusCode: status, Body: http.NoBody, Header: http.Header{}}, nil
}

// Every attempt that fails is followed by another, later and later, for an hour.
func TestNoticesAreTriedAgain(t *testing.T) {
	for _, row := range []struct {
		name     string
		statuses []int
		results  string
		waits    string // seconds between attempts, as far as they are given
	}{
		{"at once", []int{200}, "success", ""},
		{"no content", []int{204}, "success", ""},
		{"after two failures", []int{500, 0, 200}, "failed failed success", "1 5"},
		{"refused", []int{400, 200}, "failed success", "1"},
		{"redirected", []int{302, 200}, "failed success", "1"},
		{
			"never", []int{503},
			"failed failed failed failed failed failed failed failed failed expired", "1 5 30 120 600 600 600 600 600",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var events []audit.Event
				client := &roundTripper{statuses: row.statuses}
				q := &queue{notice: newNotice("https://rp.example/logout", time.Now())}
				s := newSender(q, &events)
				s.Client = &egress.Client{Transport: client}
				ctx, cancel := context.WithCancel(t.Context())
				go s.Run(ctx)
				time.Sleep(2 * time.Hour)
				cancel()
				synctest.Wait()

				var results, waits []string
				for _, e := range events {
					results = append(results, e.Result)
					if e.ClientID != "rp" || e.User != "alice" || e.Session != "s1" ||
						e.Recorded != (e.Result != failed) ||
						(e.Err != nil) != (e.Result == expired) {
						t.Errorf("event %+v", e)
					}
				}
				for i := 1; i < len(client.times); i++ {
					waits = append(
						waits,
						fmt.Sprint(client.times[i].Sub(client.times[i-1]).Round(time.Second).Seconds()),
					)
				}
				if got := strings.Join(results, " "); got != row.results || !q.gone {
					t.Errorf("results %s, gone %v; want %s", got, q.gone, row.results)
				}
				if got := strings.Join(waits, " "); got != row.waits {
					t.Errorf("seconds between attempts: %s; want %s", got, row.waits)
				}
			})
		})
	}
}

// The request holds the token and nothing else.
func TestRequestOfANotice(t *testing.T) {
	var got *http.Request
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		got = r
	}))
	defer srv.Close()
	var events []audit.Event
	q := &queue{notice: newNotice(srv.URL+"/logout?tenant=1", time.Now())}
	s := newSender(q, &events)
	defer s.Client.Close()
	if n, err := s.Send(t.Context(), time.Now()); n != 1 || err != nil || !q.gone || got == nil {
		t.Fatalf("%d, %v, %v", n, err, events)
	}
	if got.Method != http.MethodPost || got.URL.RequestURI() != "/logout?tenant=1" ||
		got.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || len(got.PostForm) != 1 ||
		!slices.Equal(got.PostForm["logout_token"], []string{"token of s1"}) {
		t.Errorf("%s %s %v %v", got.Method, got.URL, got.Header, got.PostForm)
	}
}

// What cannot be sent is said, tried again, and given back when the server stops.
func TestNoticesThatCannotBeSent(t *testing.T) {
	now := time.Now()
	reached := false
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer srv.Close()
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	for _, row := range []struct {
		name   string
		change func(s *Sender, n *backchannel.Notice)
		ctx    context.Context
		want   string // the result and the detail
		gone   bool
		due    time.Duration
	}{
		{"the client is gone", func(_ *Sender, n *backchannel.Notice) { n.URI = "" }, t.Context(), "", true, 0},
		{"not allowed", func(s *Sender, _ *backchannel.Notice) {
			s.Client = &egress.Client{}
		}, t.Context(), "failed: address 127.0.0.1", false, time.Second},
		{"not encrypted", func(_ *Sender, n *backchannel.Notice) {
			n.URI = "http://rp.example/"
		}, t.Context(), "failed: \"http://rp.example/\" is not https", false, time.Second},
		{"no key", func(s *Sender, _ *backchannel.Notice) {
			s.Token = func(context.Context, backchannel.Notice, time.Time) (string, error) {
				return "", errors.New("no key")
			}
		}, t.Context(), "failed: no key", false, time.Second},
		{"too old", func(_ *Sender, n *backchannel.Notice) { n.Expires = now }, t.Context(), "expired: ", true, 0},
		{"the server stops", func(*Sender, *backchannel.Notice) {}, stopped, "", false, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			reached = false
			var events []audit.Event
			q := &queue{notice: newNotice(srv.URL, now)}
			s := newSender(q, &events)
			row.change(s, &q.notice)
			defer s.Client.Close()
			if _, err := s.Send(row.ctx, now); err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, e := range events {
				got += e.Result + ": " + e.Detail
			}
			_, detail, _ := strings.Cut(row.want, ": ")
			if !strings.HasPrefix(got, row.want[:len(row.want)-len(detail)]) || !strings.Contains(got, detail) ||
				(got == "") != (row.want == "") || reached || q.gone != row.gone {
				t.Errorf("events %q, reached %v, gone %v; want %q", got, reached, q.gone, row.want)
			}
			if !row.gone && q.due.Sub(now).Round(time.Second) != row.due {
				t.Errorf("tried again after %v, want %v", q.due.Sub(now), row.due)
			}
		})
	}
}

// A store that is away is said once, and its return.
func TestStoreThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, told := &queue{gone: true, fail: errors.New("away")}, []error{}
		s := newSender(q, new([]audit.Event))
		s.Failing = func(err error) { told = append(told, err) }
		ctx, cancel := context.WithCancel(t.Context())
		go s.Run(ctx)
		time.Sleep(10 * time.Second)
		q.mu.Lock()
		q.fail = nil
		q.mu.Unlock()
		time.Sleep(10 * time.Second)
		cancel()
		synctest.Wait()
		if len(told) != 2 || told[0] == nil || told[1] != nil {
			t.Errorf("told %v", told)
		}
	})
}

// lines is a store of many notices, each of which is due once.
type lines struct {
	mu  sync.Mutex
	all []backchannel.Notice
}

func (l *lines) add(notices ...backchannel.Notice) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, notices...)
}

func (l *lines) TakeNotices(_ context.Context, _ time.Time, n int, except []string) ([]backchannel.Notice, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var taken []backchannel.Notice
	l.all = slices.DeleteFunc(l.all, func(notice backchannel.Notice) bool {
		if len(taken) == n || slices.Contains(except, notice.ClientID) {
			return false
		}
		taken = append(taken, notice)
		return true
	})
	return taken, nil
}

func (l *lines) KeepNotice(context.Context, backchannel.Notice, time.Time) error { return nil }

func (l *lines) DropNotice(context.Context, backchannel.Notice) error { return nil }

// hosts answers at once, but for the host dead.example, which never does.
type hosts struct{ told atomic.Int64 }

func (h *hosts) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == "dead.example" {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	h.told.Add(1)
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: http.Header{}}, nil
}

// TestDeadClientHoldsUpNobody: with hundreds of notices for a client that never answers, others are told
// at once, each of all that is theirs.
func TestDeadClientHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, answering := &lines{}, &hosts{}
		add := func(client string, n int) {
			for range n {
				notice := newNotice("https://"+client+".example/", time.Now())
				notice.ClientID = client
				store.add(notice)
			}
		}
		add("dead", 300)
		s := &Sender{
			Store:  store,
			Token:  func(context.Context, backchannel.Notice, time.Time) (string, error) { return "token", nil },
			Client: &egress.Client{Transport: answering},
		}
		ctx, cancel := context.WithCancel(t.Context())
		go s.Run(ctx)
		time.Sleep(500 * time.Millisecond)
		add("alive", 100)
		time.Sleep(time.Second)
		synctest.Wait()
		if told := answering.told.Load(); told != 100 {
			t.Errorf("%d of 100 were sent within a second", told)
		}
		cancel()
		synctest.Wait()
	})
}
