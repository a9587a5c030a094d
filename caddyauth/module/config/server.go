package config

import (
	"net/url"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/openid"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// Server is what the settings mean: placeholders are resolved, defaults are filled in, and all
// rules hold that can be checked without the store and the gates. It is made once, when a
// configuration is provisioned, and does not change.
type Server struct {
	Issuer    string
	PublicURL *url.URL // nil if the issuer has no public URL
	Audiences []string // all audience words

	ReturnTo []string // canonical origins, the public URL's first
	Home     string   // empty if none is configured
	WebPath  string   // below which gates answer at other hosts

	Secret *keyring.SecretRing // nil means the file in the data directory
	Ring   *keyring.Ring       // the configured keys; nil if the keys are generated
	Keys   KeyRotation

	PrivateKeyFiles []PrivateKeyFile

	StoreURL string
	Trust    []TrustedIssuer

	Users    []identity.User
	Projects []project.Project
	Clients  []clients.Client

	Scopes openid.Scopes // the operator's own

	Registration   *SelfRegistration  // nil is off
	ClientMetadata *MetadataDocuments // nil is off

	Lifetimes    project.Lifetimes // the server's own over its preset; zero values are project.Defaults
	Limits       project.Limits
	TokenOptions project.TokenOptions
	Revocation   project.RevocationOptions

	Egress EgressRule

	RefreshWindow time.Duration
	RefreshCheck  time.Duration

	MaxLifetime         time.Duration // of the server's own tokens
	RevocationStaleness time.Duration
	IntrospectionCache  time.Duration
	AuditRetention      time.Duration
	TokenCache          int // 0 is off
	DPoPNonce           bool
}

// Resolve validates the settings and returns what they mean.
func (s *Settings) Resolve(r option.Resolver) (*Server, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	v := &Server{
		Audiences:           s.audiences(),
		Keys:                s.Keys.rotation(),
		Scopes:              s.scopes(),
		Limits:              s.Limits.domain(),
		Revocation:          s.revocation(),
		RefreshWindow:       s.Lifetimes.RefreshWindow.Or(defaultRefreshWindow),
		RefreshCheck:        s.Lifetimes.RefreshCheck.Or(defaultRefreshCheck),
		MaxLifetime:         s.MaxLifetime.Or(MaxLifetime),
		RevocationStaleness: durationOr(s.RevocationStaleness, defaultStaleness),
		IntrospectionCache:  durationOr(s.IntrospectionCache, defaultIntrospectionCache),
		AuditRetention:      s.AuditRetention.Or(audit.DefaultRetention),
		TokenCache:          s.tokenCache(),
		DPoPNonce:           s.DPoPNonce,
		ClientMetadata:      s.ClientMetadata.documents(),
	}
	for _, resolve := range []func(option.Resolver, *Server) error{
		s.resolveIssuer,
		s.resolveReturnTo,
		s.resolveWebPath,
		s.resolveKeys,
		s.resolveUsers,
		s.resolveTenants,
		s.resolveRegistration,
		s.resolveStore,
		s.resolveTrust,
		s.resolveEgress,
	} {
		if err := resolve(r, v); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// AccessLifetime is the lifetime of an access token where neither project nor client sets one.
func (v *Server) AccessLifetime() time.Duration {
	return project.Effective(v.Lifetimes, project.Lifetimes{}, project.Lifetimes{}, v.Limits).Access
}

// IDTokenLifetime is the lifetime of an ID token where neither project nor client sets one.
func (v *Server) IDTokenLifetime() time.Duration {
	return project.Effective(v.Lifetimes, project.Lifetimes{}, project.Lifetimes{}, v.Limits).IDToken
}

func (s *Settings) resolveStore(r option.Resolver, v *Server) (err error) {
	v.StoreURL, err = s.storeURL(r)
	return err
}
