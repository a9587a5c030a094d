package endsession

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
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

	// parallel is how many notices are sent at once: a client that does not answer holds up others for
	// no longer than one request may take.
	parallel = 32
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
}

// Run sends what is due until ctx ends.
func (s *Sender) Run(ctx context.Context) {
	defer s.Client.Close()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	failing := false
	for {
		err := s.sendAll(ctx)
		if ctx.Err() != nil {
			return
		}
		if bad := err != nil; bad != failing && s.Failing != nil {
			failing = bad
			s.Failing(err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// sendAll sends until nothing is due any more.
func (s *Sender) sendAll(ctx context.Context) error {
	for {
		n, err := s.Send(ctx, time.Now())
		if err != nil || n < parallel {
			return err
		}
	}
}

// Send takes some of the notices that are due, tries each once, and returns how many it took. The
// error is the store's.
func (s *Sender) Send(ctx context.Context, now time.Time) (int, error) {
	notices, err := s.Store.TakeNotices(ctx, now, parallel)
	if err != nil {
		return 0, err
	}
	errs := make([]error, len(notices))
	var all sync.WaitGroup
	for i, n := range notices {
		all.Go(func() { errs[i] = s.send(ctx, n, now) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return len(notices), err
		}
	}
	return len(notices), nil
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
