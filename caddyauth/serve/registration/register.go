package registration

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// tooManyWait is when a client may try again after too_many_clients. Unused clients are deleted
// meanwhile.
const tooManyWait = time.Hour

// maxBody is the largest registration, in bytes.
const maxBody = 64 << 10

// register answers POST /register. A public client that registers the same again is the same client.
// Nobody gets a registration access token for it: whoever holds one could add an address to a
// client that many people have allowed something.
func (c *call) register() (int, any, error) {
	if err := c.mayRegister(); err != nil {
		return 0, nil, err
	}
	if err := c.take(); err != nil {
		return 0, nil, err
	}
	members, err := c.body()
	if err != nil {
		return 0, nil, err
	}
	client := clients.Client{
		ID:       project.NewID(),
		Active:   true,
		Version:  1,
		Created:  c.now,
		Changed:  c.now,
		Settings: clients.Settings{Source: clients.Registered},
	}
	c.Terms.grant(&client)
	secret, err := c.describe(&client, members)
	if err != nil {
		return 0, nil, err
	}
	r := clients.Registration{AtMost: c.MaxClients, RoomBefore: roomBefore(c.now, c.UnapprovedAfter)}
	token := ""
	if client.Public() {
		r.Fingerprint, err = client.Fingerprint()
	} else {
		token = clients.NewRegistrationToken()
		r.Token = secrets.Hash(token)
	}
	if err != nil {
		return 0, nil, err
	}
	registered, err := c.Store.AddRegistered(c.r.Context(), client, r)
	if errors.Is(err, clients.ErrTooMany) {
		return 0, nil, &refusal{
			status: http.StatusServiceUnavailable,
			code:   "too_many_clients",
			text:   "This server has reached its limit of registered clients. Please try again later.",
			wait:   tooManyWait,
		}
	}
	if err != nil {
		return 0, nil, err
	}
	c.isAbout(registered)
	return http.StatusCreated, c.information(registered, secret, token), nil
}

// roomBefore is the time before which clients came that make room for others.
func roomBefore(now time.Time, unapprovedAfter time.Duration) time.Time {
	if unapprovedAfter <= 0 {
		return time.Time{}
	}
	return now.Add(-unapprovedAfter)
}

// take counts what becomes a row of the store or an entry of the audit trail.
func (c *call) take() error {
	wait, err := c.Take(c.r.Context(), c.event.ClientIP, c.now)
	if err == nil && wait > 0 {
		err = &refusal{
			status: http.StatusTooManyRequests,
			code:   "too_many_requests",
			text:   "There were too many registrations. Please wait and try again.",
			wait:   wait,
		}
	}
	return err
}

// mayRegister refuses who has no initial access token where one is needed.
func (c *call) mayRegister() error {
	if c.Open {
		return nil
	}
	hash, fits := []byte(secrets.Hash(c.bearer())), 0
	for _, known := range c.InitialTokens {
		fits |= subtle.ConstantTimeCompare(hash, []byte(known))
	}
	if fits != 1 {
		return invalidToken("An initial access token is needed to register.")
	}
	return nil
}

func invalidToken(text string) error {
	return &refusal{status: http.StatusUnauthorized, code: "invalid_token", text: text}
}

// bearer returns the token of the Authorization header (RFC 6750, section 2.1); "" for none.
func (c *call) bearer() string {
	values := c.r.Header.Values("Authorization")
	if len(values) != 1 {
		return ""
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// body reads the metadata of the request.
func (c *call) body() (map[string]json.RawMessage, error) {
	members, err := endpoint.ReadObject(c.w, c.r, maxBody)
	switch {
	case errors.Is(err, endpoint.ErrMediaType):
		return nil, &refusal{
			status: http.StatusUnsupportedMediaType,
			code:   invalidMetadata,
			text:   "The body must be application/json.",
		}
	case errors.Is(err, endpoint.ErrTooLarge):
		return nil, &refusal{
			status: http.StatusRequestEntityTooLarge,
			code:   invalidMetadata,
			text:   fmt.Sprintf("The body is larger than %d bytes.", maxBody),
		}
	case err != nil:
		return nil, wrong("The body is not a JSON object: %v.", err)
	}
	return members, nil
}

// describe makes the client what the metadata says, and returns the secret that it got, if any.
func (c *call) describe(client *clients.Client, members map[string]json.RawMessage) (secret string, err error) {
	m, err := readMetadata(members)
	if err != nil {
		return "", err
	}
	if m.authMethod == "" {
		m.authMethod = clients.AuthSecretBasic // RFC 7591, section 2
	}
	if err := m.describe(client); err != nil {
		return "", err
	}
	if err := c.checkHosts(client.RedirectURIs); err != nil {
		return "", err
	}
	switch hasSecret := m.authMethod == clients.AuthSecretBasic || m.authMethod == clients.AuthSecretPost; {
	case !hasSecret:
		client.Secrets = nil
	case len(client.Secrets) == 0:
		secret = clients.NewSecret()
		client.Secrets = []clients.Secret{{Number: 1, Hash: secrets.Hash(secret), Created: c.now}}
	}
	return secret, valid(*client)
}

// checkHosts refuses redirect URIs on other hosts than the allowed ones.
func (c *call) checkHosts(uris []string) error {
	if len(c.RedirectHosts) == 0 {
		return nil
	}
	for _, uri := range uris {
		u, err := url.Parse(uri)
		if err != nil || u.Scheme == "https" && !HostAllowed(c.RedirectHosts, u.Hostname()) {
			text := fmt.Sprintf("redirect_uris: %.200q: its host is not allowed here.", uri)
			return &problem{invalidRedirectURI, text}
		}
	}
	return nil
}

// HostAllowed reports whether a host is in a list, in which `*.example.com` stands for all hosts
// below example.com. Case does not count.
func HostAllowed(list []string, host string) bool {
	host = strings.ToLower(host)
	return slices.ContainsFunc(list, func(allowed string) bool {
		allowed = strings.ToLower(allowed)
		below, any := strings.CutPrefix(allowed, "*")
		return host == allowed || any && strings.HasSuffix(host, below) && len(host) > len(below)
	})
}

// information is the client information response (RFC 7591, section 3.2.1).
type information struct {
	ID            string `json:"client_id"`
	Issued        int64  `json:"client_id_issued_at"`
	Secret        string `json:"client_secret,omitempty"`
	SecretExpires *int64 `json:"client_secret_expires_at,omitempty"`
	Token         string `json:"registration_access_token,omitempty"`
	URI           string `json:"registration_client_uri,omitempty"`

	Name                   string          `json:"client_name,omitempty"`
	ClientURI              string          `json:"client_uri,omitempty"`
	RedirectURIs           []string        `json:"redirect_uris,omitempty"`
	PostLogoutRedirectURIs []string        `json:"post_logout_redirect_uris,omitempty"`
	GrantTypes             []string        `json:"grant_types"`
	ResponseTypes          []string        `json:"response_types"`
	AuthMethod             string          `json:"token_endpoint_auth_method"`
	Scope                  string          `json:"scope,omitempty"`
	JWKS                   json.RawMessage `json:"jwks,omitempty"`
	JWKSURI                string          `json:"jwks_uri,omitempty"`
	IDTokenAlgorithm       string          `json:"id_token_signed_response_alg"`
	PARRequired            bool            `json:"require_pushed_authorization_requests,omitempty"`
	DPoPBound              bool            `json:"dpop_bound_access_tokens,omitempty"`
	CertificateBound       bool            `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	CertificateSubject     string          `json:"tls_client_auth_subject_dn,omitempty"`
	CertificateDNS         string          `json:"tls_client_auth_san_dns,omitempty"`
	CertificateURI         string          `json:"tls_client_auth_san_uri,omitempty"`
	CertificateIP          string          `json:"tls_client_auth_san_ip,omitempty"`
	CertificateEmail       string          `json:"tls_client_auth_san_email,omitempty"`
}

// information shows a client as it is, and what was made for it just now.
func (c *call) information(client clients.Client, secret, token string) information {
	i := information{
		ID:                     client.ID,
		Issued:                 client.Created.Unix(),
		Secret:                 secret,
		Token:                  token,
		Name:                   client.Name,
		ClientURI:              client.URI,
		RedirectURIs:           client.RedirectURIs,
		PostLogoutRedirectURIs: client.PostLogoutRedirectURIs,
		GrantTypes:             client.GrantTypes,
		ResponseTypes:          []string{},
		AuthMethod:             client.AuthMethod,
		Scope:                  strings.Join(client.Scopes, " "),
		JWKS:                   client.JWKS,
		JWKSURI:                client.JWKSURI,
		IDTokenAlgorithm:       client.SignsIDTokenWith(),
		PARRequired:            client.PARRequired,
		DPoPBound:              client.DPoPBound,
		CertificateBound:       client.CertificateBound,
		CertificateSubject:     client.CertificateSubject,
		CertificateDNS:         client.CertificateDNS,
		CertificateURI:         client.CertificateURI,
		CertificateIP:          client.CertificateIP,
		CertificateEmail:       client.CertificateEmail,
	}
	if client.AllowsGrant(clients.GrantCode) {
		i.ResponseTypes = []string{"code"}
	}
	if secret != "" {
		i.SecretExpires = new(int64) // never
	}
	if token != "" {
		i.URI = c.Base.JoinPath("register", client.ID).String()
	}
	return i
}

func (c *call) isAbout(client clients.Client) {
	c.event.ClientID, c.event.Project = client.ID, client.Project
	c.event.Target, c.event.TargetName = client.ID, client.Name
}
