// Command fill revokes tokens in a store before bench/run.sh starts a server on it, so that the
// server begins with a long deny list: the ids denied-0, denied-1 and so on of one issuer, and all
// tokens of a user called mallory, which makes every token that was issued earlier one to be looked
// at more closely.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore"
)

func main() {
	store := flag.String("store", "", "the store's URL")
	issuer := flag.String("issuer", "", "the issuer of the tokens")
	count := flag.Int("count", 100_000, "how many")
	flag.Parse()
	if err := run(*store, *issuer, *count); err != nil {
		fmt.Fprintln(os.Stderr, "fill:", err)
		os.Exit(1)
	}
}

func run(rawURL, issuer string, count int) (err error) {
	if rawURL == "" || issuer == "" || count < 1 {
		return errors.New("it needs a store, an issuer and a count")
	}
	store, err := sqlstore.New(rawURL)
	if err != nil {
		return err
	}
	ctx := context.Background()
	if err := store.Open(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := revoke(ctx, store, issuer, count); err != nil {
		return err
	}
	now := time.Now()
	_, _, err = store.RevokeAll(ctx, revocation.Revocation{
		Kind: revocation.UserKind, Project: "default", ID: "mallory", Reason: "bench", Until: now.Add(24 * time.Hour),
	}, now)
	return err
}

// revoke denies the tokens many at once: the store commits together what waits together.
func revoke(ctx context.Context, store *sqlstore.Store, issuer string, count int) error {
	const clients = 256
	now := time.Now()
	errs := make([]error, clients)
	var wg sync.WaitGroup
	for client := range clients {
		wg.Go(func() {
			for i := client; i < count && errs[client] == nil; i += clients {
				_, errs[client] = store.RevokeToken(ctx, issuer, "denied-"+strconv.Itoa(i), now.Add(24*time.Hour), now)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
