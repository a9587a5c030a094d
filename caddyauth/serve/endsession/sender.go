package endsession

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/backchannel"
	"github.com/caddyauth/gateway/caddyauth/web/egress"
)

const (
	// interval is how often the store is asked what is due.
	interval = time.Second

	// batch is how many notices are taken at once. No more are taken for their clients until these are
	// settled: a client that does not answer holds up nobody else, and one that does gets all of its
	// own soon.
	batch = 8

	// parallel is how many may be under way, so that only many clients that do not answer can hold up
	// others.
	parallel = 256
)

// The results of events.
const (
	delivered = "success"
	failed    = "failed"  // it will be tried again
	expired   = "expired" // it is forgotten
)

// Sender sends notices. Several may run on the same store: each notice is sent by one of them.
type Sender struct {
	// Store keeps the notices. Required.
	Store backchannel.Store

	// Token makes the logout token of a notice (issuance.Service.LogoutToken). Required.
	Token func(ctx context.Context, n backchannel.Notice, now time.Time) (string, error)

	// Client sends the requests. A request must take less time than backchannel.Lease. Required.
	Client *egress.Client

	// Events is told of each attempt. Default: nobody is told.
	Events audit.Sink

	// Failing is told when the store cannot be asked, once until it can, and then with nil. Default:
	// nobody is told.
	Failing func(err error)

	mu      sync.Mutex
	sending map[string]int // how many notices are under way, by client
	total   int            // of them all
	failure error          // the store's, when a notice was settled
	settled chan struct{}  // has room for one: something has been settled
}

// Run sends what is due until ctx ends.
func (s *Sender) Run(ctx context.Context) {
	defer s.Client.Close()
	var underWay sync.WaitGroup
	defer underWay.Wait()
	s.settled = make(chan struct{}, 1)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	failing := false
	for {
		err := s.begin(ctx, &underWay)
		if ctx.Err() != nil {
			return
		}
		if bad := err != nil; bad != failing && s.Failing != nil {
			failing = bad
			s.Failing(err)
		}
		select {
		case <-ticker.C:
		case <-s.settled:
		case <-ctx.Done():
			return
		}
	}
}

// begin begins to send all that is due, but to clients that something is being sent to. The error is
// the store's.
func (s *Sender) begin(ctx context.Context, underWay *sync.WaitGroup) error {
	for {
		now := time.Now()
		notices, err := s.take(ctx, now)
		if err != nil || len(notices) == 0 {
			return err
		}
		for _, n := range notices {
			underWay.Go(func() { s.settle(n, s.send(ctx, n, now)) })
		}
	}
}

// Send takes some of the notices that are due, tries each once, and returns how many it took. The
// error is the store's.
func (s *Sender) Send(ctx context.Context, now time.Time) (int, error) {
	notices, err := s.take(ctx, now)
	if err != nil {
		return 0, err
	}
	var all sync.WaitGroup
	for _, n := range notices {
		all.Go(func() { s.settle(n, s.send(ctx, n, now)) })
	}
	all.Wait()
	return len(notices), s.failed()
}

// take takes notices of clients that nothing is being sent to; none when too many are under way. The
// error is the store's, now or when a notice was settled.
func (s *Sender) take(ctx context.Context, now time.Time) ([]backchannel.Notice, error) {
	if err := s.failed(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	busy, full := slices.Collect(maps.Keys(s.sending)), s.total+batch > parallel
	s.mu.Unlock()
	if full {
		return nil, nil
	}
	notices, err := s.Store.TakeNotices(ctx, now, batch, busy)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range notices {
		if s.sending == nil {
			s.sending = map[string]int{}
		}
		s.sending[n.ClientID]++
		s.total++
	}
	return notices, err
}

// settle notes that a notice is no longer under way, and the error of the store.
func (s *Sender) settle(n backchannel.Notice, err error) {
	s.mu.Lock()
	s.total--
	if s.sending[n.ClientID]--; s.sending[n.ClientID] == 0 {
		delete(s.sending, n.ClientID)
	}
	if err != nil {
		s.failure = err
	}
	s.mu.Unlock()
	select {
	case s.settled <- struct{}{}:
	default:
	}
}

// failed returns an error of the store once.
func (s *Sender) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.failure
	s.failure = nil
	return err
}

// send tries a notice once and writes what came of it.
func (s *Sender) send(ctx context.Context, n backchannel.Notice, now time.Time) error {
	// The outcome is written also while the server stops.
	settle, cancel := context.WithTimeout(context.WithoutCancel(ctx), backchannel.Lease)
	defer cancel()
	if n.URI == "" {
		return s.Store.DropNotice(settle, n)
	}
	event := audit.Event{
		Kind:     audit.LogoutNotice,
		Result:   delivered,
		User:     n.Subject,
		ClientID: n.ClientID,
		Actor:    "server",
		Target:   n.ClientID,
		Project:  n.Project,
		Session:  n.Session,
	}
	begun := time.Now()
	err := s.deliver(ctx, n, now)
	if ctx.Err() != nil && err != nil { // the server stops; the next one goes on
		return s.Store.KeepNotice(settle, n, now)
	}
	next, again := n.Next(now.Add(time.Since(begun)))
	switch {
	case err == nil:
		event.Recorded = true
		s.Events.Report(ctx, event)
		return s.Store.DropNotice(settle, n)
	case again:
		event.Result, event.Detail = failed, err.Error()
		s.Events.Report(ctx, event)
		return s.Store.KeepNotice(settle, n, next)
	default:
		event.Result, event.Err, event.Recorded = expired, err, true
		s.Events.Report(ctx, event)
		return s.Store.DropNotice(settle, n)
	}
}

// deliver posts the logout token and nothing else (OpenID Connect Back-Channel Logout, section 2.5).
func (s *Sender) deliver(ctx context.Context, n backchannel.Notice, now time.Time) error {
	if !now.Before(n.Expires) {
		return fmt.Errorf("nobody could send it within %v", backchannel.Lifetime)
	}
	address, err := egress.ParseURL(n.URI)
	if err != nil {
		return err
	}
	raw, err := s.Token(ctx, n, now)
	if err != nil {
		return err
	}
	body := strings.NewReader(url.Values{"logout_token": {raw}}.Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := s.Client.Do(req)
	if err != nil {
		return err
	}
	if answer.Status < 200 || answer.Status > 299 { // a redirect is not followed (section 2.8)
		return fmt.Errorf("the client answered with status %d", answer.Status)
	}
	return nil
}
