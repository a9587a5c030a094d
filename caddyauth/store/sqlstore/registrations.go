package sqlstore

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
)

var _ clients.RegistrationStore = (*Store)(nil)

// addRegistration stores nothing if there is a registration with the fingerprint. PostgreSQL waits
// for a transaction that has inserted the same one, and then sees its row.
const addRegistration = `INSERT INTO registration (client, source, fingerprint, token, used, fresh)
	VALUES ($1, $2, $3, $4, $5, $6)
	ON CONFLICT (fingerprint) DO NOTHING`

// AddRegistered stores a client, or returns the one that has the fingerprint; see
// clients.RegistrationStore.
func (s *Store) AddRegistered(
	ctx context.Context,
	c clients.Client,
	r clients.Registration,
) (clients.Client, error) {
	if r.Fingerprint == "" {
		r.Fingerprint = c.ID
	}
	registered := c
	err := s.write(ctx, func(t tx) error {
		n, err := t.exec(addRegistration, c.ID, c.Source, r.Fingerprint, r.Token, millis(c.Created), millis(r.Fresh))
		if err != nil {
			return err
		}
		if n > 0 {
			return insertArrival(ctx, t, c, r)
		}
		registered, err = oneRow(ctx, t, scanClient, clients.ErrNotFound, `SELECT `+qualified("client", clientColumns)+`
			FROM client JOIN registration ON registration.client = client.id
			WHERE registration.fingerprint = $1`, r.Fingerprint)
		return err
	})
	return registered, err
}

// insertArrival stores a client whose registration was stored, unless the source then exceeds its
// limit and nothing of it makes room. Counting reads the entries of one source in an index.
func insertArrival(ctx context.Context, t tx, c clients.Client, r clients.Registration) error {
	if r.AtMost > 0 {
		var n int
		_, err := one(ctx, t, `SELECT count(*) FROM registration WHERE source = $1`, []any{c.Source}, &n)
		if err == nil && n > r.AtMost {
			err = makeRoom(ctx, t, c.Source, r.RoomBefore)
		}
		if err != nil {
			return err
		}
	}
	return insertClient(t, c)
}

// idleClients are active clients of a source that no grant belongs to. $1 the source.
const idleClients = `SELECT client.id FROM registration JOIN client ON client.id = registration.client
	WHERE registration.source = $1 AND client.active = 1 AND client.declared = 0
		AND NOT EXISTS (SELECT 1 FROM grants WHERE grants.project = client.project AND grants.client = client.id)`

// unapproved is true of a registration whose client nobody has ever allowed anything.
const unapproved = ` AND registration.approved = 0`

// inTheWay is one of idleClients that came before a time, and that nobody has ever allowed anything.
// That it is used says nothing: to name a client in a request is a use, and anybody can. $2 the
// time.
const inTheWay = idleClients + unapproved + ` AND client.created < $2 LIMIT 1`

// makeRoom forgets one client that is in the way. It takes one alone, so that it waits for no row
// while it holds that of another client which was there before.
func makeRoom(ctx context.Context, t tx, source string, before time.Time) error {
	var id string
	found, err := one(ctx, t, inTheWay, []any{source, millis(before)}, &id)
	if err != nil {
		return err
	}
	if !found {
		return clients.ErrTooMany
	}
	removed, err := t.exec(`DELETE FROM registration WHERE client = $1`+unapproved, id)
	switch {
	case err != nil:
		return err
	case removed == 0: // somebody has allowed it something meanwhile, or another one has taken its room
		return clients.ErrTooMany
	}
	return dropClient(t, id)
}

// dropClient removes a client whose registration was removed, with what people have allowed it.
func dropClient(t tx, id string) error {
	if _, err := t.exec(`DELETE FROM client WHERE id = $1`, id); err != nil {
		return err
	}
	return forgetConsents(t, id)
}

// FindRegistered returns a client that registered itself; see clients.RegistrationStore.
func (s *Store) FindRegistered(ctx context.Context, id string) (clients.Client, clients.Registration, error) {
	db, err := s.database()
	if err != nil {
		return clients.Client{}, clients.Registration{}, err
	}
	var row clientScan
	var r clients.Registration
	var fresh int64
	found, err := one(ctx, db, `SELECT registration.fingerprint, registration.token, registration.fresh, `+
		qualified("client", clientColumns)+`
		FROM client JOIN registration ON registration.client = client.id WHERE client.id = $1`, []any{id},
		append([]any{&r.Fingerprint, &r.Token, &fresh}, row.into()...)...)
	if err == nil && !found {
		err = clients.ErrNotFound
	}
	if err != nil {
		return clients.Client{}, clients.Registration{}, err
	}
	r.Fresh = instant(fresh)
	c, err := row.client()
	return c, r, err
}

// ChangeRegistered stores what a client changes of itself; see clients.RegistrationStore.
func (s *Store) ChangeRegistered(ctx context.Context, c clients.Client, now time.Time) (clients.Client, error) {
	var after clients.Client
	err := s.write(ctx, func(t tx) error {
		_, err := findClient(ctx, t, c.ID)
		if err != nil {
			return err
		}
		if after, err = updateClient(t, c, now); err != nil {
			return err
		}
		return forgetConsents(t, c.ID)
	})
	return after, err
}

// PutDocument stores the client of a metadata document; see clients.RegistrationStore.
func (s *Store) PutDocument(ctx context.Context, c clients.Client, r clients.Registration, now time.Time) error {
	return s.write(ctx, func(t tx) error {
		n, err := t.exec(addRegistration, c.ID, c.Source, c.ID, "", millis(now), millis(r.Fresh))
		if err != nil {
			return err
		}
		if n > 0 {
			return insertArrival(ctx, t, c, r)
		}
		// The row is locked until the end: nobody else puts or forgets the client meanwhile.
		_, err = t.exec(`UPDATE registration SET fresh = $1 WHERE client = $2`, millis(r.Fresh), c.ID)
		if err != nil {
			return err
		}
		standing, err := findClient(ctx, t, c.ID)
		if err != nil {
			return err
		}
		return renewDocument(t, standing, c, now)
	})
}

// renewDocument stores what a document says now, if that is something else. What the operator has
// set besides stays.
func renewDocument(t tx, standing, said clients.Client, now time.Time) error {
	said.Consent = standing.Consent
	before, errBefore := standing.Fingerprint()
	after, errAfter := said.Fingerprint()
	if err := errors.Join(errBefore, errAfter); err != nil || before == after {
		return err
	}
	asked := standing.Name == said.Name && slices.Equal(standing.RedirectURIs, said.RedirectURIs)
	standing.Name, standing.Settings = said.Name, said.Settings
	standing.Audience, standing.Scopes = said.Audience, said.Scopes
	if _, err := updateClient(t, standing, now); err != nil || asked {
		return err
	}
	return forgetConsents(t, said.ID)
}

// NoteUse notes that a client was used; see clients.RegistrationStore.
func (s *Store) NoteUse(ctx context.Context, id string, now time.Time) error {
	return s.writeOne(ctx, func(t tx) error {
		_, err := t.exec(`UPDATE registration SET used = $1 WHERE client = $2 AND used < $1`, millis(now), id)
		return err
	})
}

// approve notes that a person has allowed a client something, if it came by itself.
func approve(t tx, clientID string, now time.Time) error {
	_, err := t.exec(`UPDATE registration SET approved = $1 WHERE client = $2 AND approved = 0`, millis(now), clientID)
	return err
}

// longestUnused chooses those of idleClients that were not used since before a time. $2 the time, $3
// how many.
const longestUnused = ` AND registration.used < $2 ORDER BY registration.used LIMIT $3`

// ForgetUnused removes clients that nobody uses; see clients.RegistrationStore.
func (s *Store) ForgetUnused(ctx context.Context, source string, before time.Time, n int) (int, error) {
	return s.forgetClients(ctx, "", source, before, n)
}

// ForgetUnapproved removes clients that nobody has allowed anything; see clients.RegistrationStore.
func (s *Store) ForgetUnapproved(ctx context.Context, source string, before time.Time, n int) (int, error) {
	return s.forgetClients(ctx, unapproved, source, before, n)
}

func (s *Store) forgetClients(ctx context.Context, which, source string, before time.Time, n int) (int, error) {
	forgotten, chosen := 0, idleClients+which+longestUnused
	err := s.write(ctx, func(t tx) error {
		scan := func(row rows) (id string, err error) { return id, failure(row.Scan(&id)) }
		unused, err := eachRow(ctx, t, scan, chosen, source, millis(before), n)
		if err != nil {
			return err
		}
		forgotten = 0
		for _, id := range unused {
			// A row that was used meanwhile stays, and so does what another node has removed.
			removed, err := t.exec(`DELETE FROM registration WHERE client = $1 AND used < $2`+which, id, millis(before))
			if err == nil && removed > 0 {
				err = dropClient(t, id)
				forgotten++
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return forgotten, err
}
