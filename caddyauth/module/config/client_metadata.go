package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// ClientMetadata lets clients have the URL of a metadata document as their client_id (OAuth Client
// ID Metadata Document).
type ClientMetadata struct {
	// The hosts of documents that are fetched; `*.example.com` stands for all below example.com.
	// Default: any public host.
	Domains []string `json:"domains,omitempty"`
	// How many documents are fetched at once; 1 to 100. Default: 8.
	AtOnce int `json:"at_once,omitempty"`
	// The scopes that these clients may ask for. Default: none.
	Scopes []string `json:"scopes,omitempty"`
	// The audience of their tokens if a request names none. Default: api.
	Audience []string `json:"audience,omitempty"`
	// What they may name as `resource` (RFC 8707): absolute URIs. Default: none.
	Resources []string `json:"resources,omitempty"`
	// How many documents that were not fetched before one address may name: at once, and one more
	// after each duration. Default: 20 1m.
	AddressRate *Rate `json:"address_rate,omitempty"`
	// The same for all addresses together. Default: 200 10s.
	TotalRate *Rate `json:"total_rate,omitempty"`
	// How long a client is kept that nobody uses and that no session belongs to; 1d to 10y. It comes
	// back with its next request. Default: 90d.
	ForgetAfter option.Duration `json:"forget_after,omitempty"`
	// How long a client is kept that nobody uses and that no person has ever allowed anything; 1h to
	// 10y, and no longer than forget_after. Default: 1d.
	ForgetUnapprovedAfter option.Duration `json:"forget_unapproved_after,omitempty"`
	// How many such clients there may be; 1 to 1000000. Default: 10000.
	MaxClients int `json:"max_clients,omitempty"`
}

// MetadataDocuments is what ClientMetadata means.
type MetadataDocuments struct {
	Domains []string
	AtOnce  int
	Arrivals
}

// Networks are those that are reached for documents beside public ones. Anybody can name a document,
// so they are reached only for hosts that the operator has named.
func (m *MetadataDocuments) Networks(e EgressRule) []netip.Prefix {
	if len(m.Domains) == 0 {
		return nil
	}
	return e.Allow
}

const (
	defaultAtOnce = 8
	maxAtOnce     = 100
)

// unmarshalClientMetadata parses:
//
//	client_metadata {
//		domains                 <hosts...>
//		at_once                 <fetches>
//		scopes                  <words...>
//		audience                <words...>
//		resources               <uris...>
//		address_rate            <burst> <duration>
//		total_rate              <burst> <duration>
//		forget_after            <duration>
//		forget_unapproved_after <duration>
//		max_clients             <number>
//	}
func (s *Settings) unmarshalClientMetadata(d *caddyfile.Dispenser) error {
	if err := option.None(d); err != nil {
		return err
	}
	m := new(ClientMetadata)
	s.ClientMetadata = m
	if err := option.Block(d, func() error { return m.unmarshalOption(d) }, "resources"); err != nil {
		return err
	}
	return option.At(d, s.validateClientMetadata())
}

func (m *ClientMetadata) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	switch d.Val() {
	case "domains":
		err = option.Some(d, &m.Domains)
	case "at_once":
		m.AtOnce, err = readNumber(d, maxAtOnce)
	default:
		err = m.arrivals().unmarshalOption(d, "client_metadata")
	}
	return err
}

func (s *Settings) validateClientMetadata() error {
	m := s.ClientMetadata
	if m == nil {
		return nil
	}
	err := errors.Join(
		validateHosts("domains", m.Domains),
		m.arrivals().validate(),
		validateNumber("at_once", m.AtOnce, maxAtOnce),
	)
	if err != nil {
		return fmt.Errorf("client_metadata: %w", oneLine(err))
	}
	return nil
}

// documents is what the settings mean; nil for none.
func (m *ClientMetadata) documents() *MetadataDocuments {
	if m == nil {
		return nil
	}
	return &MetadataDocuments{
		Domains:  m.Domains,
		AtOnce:   cmp.Or(m.AtOnce, defaultAtOnce),
		Arrivals: m.arrivals().domain(),
	}
}

// arrivals are the settings that both kinds of clients have.
func (m *ClientMetadata) arrivals() arrivals {
	return arrivals{
		scopes:          &m.Scopes,
		audience:        &m.Audience,
		resources:       &m.Resources,
		addressRate:     &m.AddressRate,
		totalRate:       &m.TotalRate,
		forgetAfter:     &m.ForgetAfter,
		unapprovedAfter: &m.ForgetUnapprovedAfter,
		maxClients:      &m.MaxClients,
	}
}
