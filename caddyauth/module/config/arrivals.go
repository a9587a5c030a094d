package config

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// Rate is how often something may be done: Burst times at once, and once more after each Every.
type Rate struct {
	// How often at once; 1 to 10000. Required.
	Burst int `json:"burst"`
	// After which time once more; 1ms to 1d. Required.
	Every option.Duration `json:"every"`
}

// Arrivals are what clients get that come by themselves, how often they may come, and when they go.
type Arrivals struct {
	Scopes      []string
	Audience    []string
	Resources   []string
	AddressRate identity.Limit
	TotalRate   identity.Limit
	ForgetAfter time.Duration

	// UnapprovedAfter is ForgetAfter for clients that nobody has allowed anything, MaxClients how many
	// clients there may be.
	UnapprovedAfter time.Duration
	MaxClients      int
}

const (
	defaultForgetAfter     = 90 * 24 * time.Hour
	defaultUnapprovedAfter = 24 * time.Hour
	defaultMaxClients      = 10_000
	maxMaxClients          = 1_000_000
	maxBurst               = 10_000
)

var (
	usualAddressRate = identity.Limit{Burst: 20, Every: time.Minute}
	usualTotalRate   = identity.Limit{Burst: 200, Every: 10 * time.Second}
)

// arrivals are the settings that Registration and ClientMetadata share.
type arrivals struct {
	scopes, audience, resources *[]string
	addressRate, totalRate      **Rate
	forgetAfter                 *option.Duration
	unapprovedAfter             *option.Duration
	maxClients                  *int
}

// unmarshalOption parses one of them in a block.
func (a arrivals) unmarshalOption(d *caddyfile.Dispenser, block string) (err error) {
	switch word := d.Val(); word {
	case "scopes":
		err = option.Some(d, a.scopes)
	case "audience":
		err = option.Some(d, a.audience)
	case "resources":
		err = option.Some(d, a.resources)
	case "address_rate":
		*a.addressRate, err = unmarshalRate(d)
	case "total_rate":
		*a.totalRate, err = unmarshalRate(d)
	case "forget_after":
		err = option.ReadDuration(d, []option.DurationRange{forgetRange(a.forgetAfter)})
	case "forget_unapproved_after":
		err = option.ReadDuration(d, []option.DurationRange{unapprovedRange(a.unapprovedAfter)})
	case "max_clients":
		*a.maxClients, err = readNumber(d, maxMaxClients)
	default:
		err = d.Errf("%s: unrecognized option %q", block, word)
	}
	return err
}

// validate refuses rates and times outside their limits, and what no client can be given.
func (a arrivals) validate() error {
	c := clients.Client{
		ID:       "registered",
		Scopes:   *a.scopes,
		Audience: *a.audience,
		Settings: clients.Settings{Resources: *a.resources},
	}
	return errors.Join(
		(*a.addressRate).validate("address_rate"),
		(*a.totalRate).validate("total_rate"),
		forgetRange(a.forgetAfter).Validate(),
		unapprovedRange(a.unapprovedAfter).Validate(),
		a.validateUnapproved(),
		validateNumber("max_clients", *a.maxClients, maxMaxClients),
		c.ValidateFields(),
	)
}

func (a arrivals) domain() Arrivals {
	return Arrivals{
		Scopes:      *a.scopes,
		Audience:    *a.audience,
		Resources:   *a.resources,
		AddressRate: (*a.addressRate).or(usualAddressRate),
		TotalRate:   (*a.totalRate).or(usualTotalRate),
		ForgetAfter: a.forgetAfter.Or(defaultForgetAfter),

		UnapprovedAfter: a.unapprovedAfter.Or(defaultUnapprovedAfter),
		MaxClients:      cmp.Or(*a.maxClients, defaultMaxClients),
	}
}

// validateUnapproved refuses to keep the clients longer that matter less.
func (a arrivals) validateUnapproved() error {
	unapproved, all := a.unapprovedAfter.Or(defaultUnapprovedAfter), a.forgetAfter.Or(defaultForgetAfter)
	if unapproved > all {
		return fmt.Errorf("forget_unapproved_after: %s is more than forget_after, %s",
			project.FormatDuration(unapproved), project.FormatDuration(all))
	}
	return nil
}

// unmarshalRate reads how often at once, and after which time once more.
func unmarshalRate(d *caddyfile.Dispenser) (*Rate, error) {
	word, args := d.Val(), d.RemainingArgs()
	if len(args) != 2 {
		return nil, d.Errf("%s: it takes a number and a duration, not %d values", word, len(args))
	}
	burst, err := strconv.Atoi(args[0])
	if err != nil {
		return nil, d.Errf("%s: %q is not a number", word, args[0])
	}
	every, err := option.ParseDuration(d, word, args[1], "10s or 1m")
	if err != nil {
		return nil, err
	}
	return &Rate{Burst: burst, Every: option.Duration(every)}, nil
}

func forgetRange(value *option.Duration) option.DurationRange {
	return option.DurationRange{Name: "forget_after", Value: value, Min: 24 * time.Hour, Max: 10 * MaxLifetime}
}

func unapprovedRange(value *option.Duration) option.DurationRange {
	return option.DurationRange{
		Name:  "forget_unapproved_after",
		Value: value,
		Min:   time.Hour,
		Max:   10 * MaxLifetime,
	}
}

// readNumber reads the number of an option, from 1 on.
func readNumber(d *caddyfile.Dispenser, most int) (n int, err error) {
	var text string
	word := d.Val()
	if err = option.One(d, &text); err == nil {
		if n, err = strconv.Atoi(text); err != nil || n < 1 {
			err = d.Errf("%s: %q is not a number from 1 to %d", word, text, most)
		}
	}
	return n, err
}

// validateNumber refuses a number that is neither between 1 and most, nor 0, which is the default.
func validateNumber(name string, n, most int) error {
	if n < 0 || n > most {
		return fmt.Errorf("%s: %d is not between 1 and %d", name, n, most)
	}
	return nil
}

func (r *Rate) validate(name string) error {
	switch {
	case r == nil:
		return nil
	case r.Burst < 1 || r.Burst > maxBurst:
		return fmt.Errorf("%s: %d is not between 1 and %d", name, r.Burst, maxBurst)
	case time.Duration(r.Every) < time.Millisecond || time.Duration(r.Every) > 24*time.Hour:
		return fmt.Errorf("%s: %s is not between 1ms and 1d", name, r.Every)
	}
	return nil
}

func (r *Rate) or(standard identity.Limit) identity.Limit {
	if r == nil {
		return standard
	}
	return identity.Limit{Burst: r.Burst, Every: time.Duration(r.Every)}
}

// hostForm is a host name, or `*.` and one.
var hostForm = regexp.MustCompile(`^(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)

func validateHosts(name string, hosts []string) error {
	for i, host := range hosts {
		if !hostForm.MatchString(host) {
			return fmt.Errorf("%s: %q is not a host such as app.example.com or *.example.com", name, host)
		}
		if slices.Contains(hosts[:i], host) {
			return fmt.Errorf("%s: duplicate %q", name, host)
		}
	}
	return nil
}
