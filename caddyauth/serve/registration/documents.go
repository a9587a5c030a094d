package registration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/web/egress"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// Limits of the documents.
const (
	// MaxDocument is the largest document that is read, in bytes, and FetchTimeout how long that may
	// take.
	MaxDocument  = 64 << 10
	FetchTimeout = 5 * time.Second

	shortestLife = time.Minute    // of a document, whatever its server says
	usualLife    = time.Hour      // where its server says nothing
	longestLife  = 24 * time.Hour // whatever its server says

	staleFor   = 24 * time.Hour // how long a copy is used beyond its time while the server is away
	refusedFor = time.Minute    // how long nothing is fetched again after a failure

	atOnceOfDomain = 2    // fetches from one domain at once
	atOnceOfCaller = 4    // fetches at once of documents that one address names, at most half of all
	maxKnown       = 2000 // documents whose state is kept in memory
)

// ErrNoClient says that an id is not that of a client: there is no document, or what it says is
// refused.
var ErrNoClient = errors.New("the metadata document is not there or is refused")

// ErrBusy says that too many documents are being fetched or stored, or that an address has named too
// many.
var ErrBusy = errors.New("too many metadata documents are being fetched, were named by this address, or are stored")

// Documents makes clients of metadata documents (OAuth Client ID Metadata Document). A copy is kept
// in the store, as a client that can be paused and revoked like any other one, and is fetched anew
// when its time is over. It may be used by several goroutines.
type Documents struct {
	// Terms are what clients get. Required.
	Terms Terms

	// Domains are the hosts of documents that are fetched; `*.example.com` stands for all below
	// example.com. Default: any public host.
	Domains []string

	// MaxClients is how many clients of documents there may be; UnapprovedAfter is as of Server. Default:
	// any number, and none makes room.
	MaxClients      int
	UnapprovedAfter time.Duration

	// AtOnce is how many documents are fetched at once. Required.
	AtOnce int

	// Client sends the requests. It must follow no redirect: a document is of the host that its URL
	// names. Required.
	Client *egress.Client

	// Store keeps the copies. Required.
	Store DocumentStore

	// Take counts the first fetch of a document for an address, and returns how long to wait when
	// there were too many: each document that is good becomes a row of the store. Required.
	Take func(ctx context.Context, clientIP string, now time.Time) (time.Duration, error)

	// Events takes an event for each fetch. Default: nobody is told.
	Events audit.Sink

	mu      sync.Mutex
	known   map[string]*document
	running int
	domains map[string]int // fetches under way, by domainOf
	callers map[string]int // and by identity.CanonicalAddress
}

// DocumentStore are the verbs of package clients that are needed here.
type DocumentStore interface {
	FindRegistered(ctx context.Context, id string) (clients.Client, clients.Registration, error)
	PutDocument(ctx context.Context, c clients.Client, r clients.Registration, now time.Time) error
}

// document is what is known of one. While it is being fetched, done is open.
type document struct {
	until time.Time // for how long err holds
	err   error     // nil if the copy in the store is good
	done  chan struct{}
}

// Prepare sees to it that the store has a copy of the document with that URL that may be used;
// clientIP is the address of who names it. The error is ErrNoClient, ErrBusy, or the store's.
func (d *Documents) Prepare(ctx context.Context, id, clientIP string, now time.Time) error {
	u, err := url.Parse(id)
	if err != nil || u.String() != id || !clients.IsDocument(id) || !d.allows(u) {
		return ErrNoClient
	}
	caller, _ := identity.CanonicalAddress(clientIP)
	keys := fetchKeys{domainOf(u), caller}
	d.mu.Lock()
	k := d.known[id]
	switch {
	case k != nil && k.done == nil && now.Before(k.until):
		d.mu.Unlock()
		return k.err
	case k != nil && k.done != nil:
		d.mu.Unlock()
		return k.wait(ctx)
	case !d.hasRoom(keys):
		d.mu.Unlock()
		return ErrBusy
	}
	k = d.begin(id, keys)
	d.mu.Unlock()

	// Others wait for this fetch, so it does not end with the request that began it.
	go d.renew(context.WithoutCancel(ctx), k, u, keys, clientIP, now)
	return k.wait(ctx)
}

// fetchKeys are what the fetches under way are counted by: a fetch that hangs holds one of few places
// for FetchTimeout, and neither one domain nor one caller may hold all of them.
type fetchKeys struct{ domain, caller string }

// hasRoom reports whether one more document may be fetched. d.mu is held.
func (d *Documents) hasRoom(keys fetchKeys) bool {
	ofCaller := max(1, min(atOnceOfCaller, d.AtOnce/2))
	return d.running < d.AtOnce && d.domains[keys.domain] < atOnceOfDomain && d.callers[keys.caller] < ofCaller
}

// domainOf is the registrable domain of a URL's host, whatever its spelling and port: names below it
// cost nothing, so they count as one. For an address it is the address.
func domainOf(u *url.URL) string {
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.String()
	}
	if domain, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return domain
	}
	return host
}

func (d *Documents) allows(u *url.URL) bool {
	return len(d.Domains) == 0 || HostAllowed(d.Domains, u.Hostname())
}

// wait returns what came of the fetch.
func (k *document) wait(ctx context.Context) error {
	done := k.done
	select {
	case <-done:
		return k.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin notes that a document is being fetched, and makes room for it. d.mu is held.
func (d *Documents) begin(id string, keys fetchKeys) *document {
	if d.known == nil {
		d.known, d.domains, d.callers = make(map[string]*document), make(map[string]int), make(map[string]int)
	}
	if len(d.known) >= maxKnown {
		d.forgetOne()
	}
	k := &document{done: make(chan struct{})}
	d.known[id] = k
	d.running++
	d.domains[keys.domain]++
	d.callers[keys.caller]++
	return k
}

// end undoes what begin has counted. d.mu is held.
func (d *Documents) end(keys fetchKeys) {
	d.running--
	if d.domains[keys.domain]--; d.domains[keys.domain] == 0 {
		delete(d.domains, keys.domain)
	}
	if d.callers[keys.caller]--; d.callers[keys.caller] == 0 {
		delete(d.callers, keys.caller)
	}
}

// forgetOne makes room: what is forgotten is in the store, or is fetched again.
func (d *Documents) forgetOne() {
	oldest := ""
	for id, k := range d.known {
		if k.done == nil && (oldest == "" || k.until.Before(d.known[oldest].until)) {
			oldest = id
		}
	}
	delete(d.known, oldest)
}

// renew finds out whether the document is good, and lets those go on who wait for it.
func (d *Documents) renew(
	ctx context.Context,
	k *document,
	u *url.URL,
	keys fetchKeys,
	clientIP string,
	now time.Time,
) {
	until, err := d.judge(ctx, u, clientIP, now)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.end(keys)
	// A new value takes the place of k: those who wait still read that one.
	d.known[u.String()] = &document{until: until, err: err}
	k.err = err
	close(k.done)
}

// judge returns whether there is a copy that may be used, and for how long that holds.
func (d *Documents) judge(
	ctx context.Context,
	u *url.URL,
	clientIP string,
	now time.Time,
) (until time.Time, err error) {
	standing, copied, err := d.Store.FindRegistered(ctx, u.String())
	switch {
	case err == nil && now.Before(copied.Fresh) && d.Terms.are(standing):
		return copied.Fresh, nil // another node, or an earlier process, has fetched it
	case errors.Is(err, clients.ErrNotFound):
		err = d.take(ctx, clientIP, now)
	}
	if err != nil {
		return now, err
	}
	client, life, err := d.fetch(ctx, u)
	if err == nil {
		client.Created, client.Changed = now, now
		r := clients.Registration{
			Fresh:      now.Add(life),
			AtMost:     d.MaxClients,
			RoomBefore: roomBefore(now, d.UnapprovedAfter),
		}
		if err := d.Store.PutDocument(ctx, client, r, now); errors.Is(err, clients.ErrTooMany) {
			d.report(ctx, u, "", err)
			return now.Add(refusedFor), ErrBusy
		} else if err != nil {
			return now, err
		}
		d.report(ctx, u, client.ID, nil)
		return now.Add(life), nil
	}
	d.report(ctx, u, "", err)
	if _, away := errors.AsType[*unreachable](err); away && now.Before(copied.Fresh.Add(staleFor)) {
		return now.Add(refusedFor), nil
	}
	return now.Add(refusedFor), ErrNoClient
}

// take counts the first fetch of a document.
func (d *Documents) take(ctx context.Context, clientIP string, now time.Time) error {
	wait, err := d.Take(ctx, clientIP, now)
	if err == nil && wait > 0 {
		err = ErrBusy
	}
	return err
}

// unreachable is a failure that says nothing about the document.
type unreachable struct{ cause error }

func (e *unreachable) Error() string { return e.cause.Error() }

// fetch gets the document and reads it. Which addresses are reached, the Client decides when it dials.
func (d *Documents) fetch(ctx context.Context, u *url.URL) (clients.Client, time.Duration, error) {
	answer, err := d.Client.Get(ctx, u, "application/json")
	if err != nil {
		return clients.Client{}, 0, &unreachable{err}
	}
	switch status := answer.Status; {
	case status >= 500 || status == http.StatusTooManyRequests:
		return clients.Client{}, 0, &unreachable{fmt.Errorf("it was answered with %d", status)}
	case status != http.StatusOK:
		return clients.Client{}, 0, fmt.Errorf("it was answered with %d", status)
	}
	media, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if err != nil || media != endpoint.JSONType && !strings.HasSuffix(media, "+json") {
		return clients.Client{}, 0, errors.New("it is not application/json")
	}
	client, err := readDocument(u.String(), answer.Body, d.Terms)
	return client, egress.Lifetime(answer.Header, shortestLife, usualLife, longestLife), err
}

// readDocument reads a metadata document. Secrets that both sides know cannot be in it: it is public.
func readDocument(id string, body []byte, terms Terms) (clients.Client, error) {
	members, err := endpoint.ParseObject(body)
	if err != nil {
		return clients.Client{}, fmt.Errorf("it is not a JSON object: %w", err)
	}
	var named string
	if json.Unmarshal(members["client_id"], &named) != nil || named != id {
		return clients.Client{}, errors.New("its client_id is not its URL")
	}
	for _, name := range []string{"client_secret", "client_secret_expires_at"} {
		if _, ok := members[name]; ok {
			return clients.Client{}, fmt.Errorf("it has a %s", name)
		}
	}
	m, err := readMetadata(members)
	if err != nil {
		return clients.Client{}, err
	}
	switch m.authMethod {
	case "":
		m.authMethod = clients.AuthNone // the default of RFC 7591 is a secret
	case clients.AuthNone, clients.AuthPrivateKeyJWT:
	default:
		return clients.Client{}, wrong("token_endpoint_auth_method: a document can have none or private_key_jwt.")
	}
	client := clients.Client{
		ID:       id,
		Active:   true,
		Version:  1,
		Settings: clients.Settings{Source: clients.MetadataDocument},
	}
	terms.grant(&client)
	if err := m.describe(&client); err != nil {
		return clients.Client{}, err
	}
	return client, valid(client)
}

func (d *Documents) report(ctx context.Context, u *url.URL, clientID string, err error) {
	e := audit.Event{Kind: audit.ClientDocument, Result: "success", ClientID: clientID, Detail: u.String()}
	if err != nil {
		e.Result, e.ClientID = "refused", ""
		if _, away := errors.AsType[*unreachable](err); away {
			e.Result = "unreachable"
		}
		e.Detail += ": " + err.Error()
	}
	d.Events.Report(ctx, e)
}
