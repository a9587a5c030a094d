package authorization

import (
	"encoding/base64"
	"errors"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
)

const (
	// RFC 7636, appendix B.
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

	callback = "https://rp.example/cb?tenant=1"
)

// relyingParty is a confidential client with all that a request may ask for.
func relyingParty() clients.Client {
	return clients.Client{
		ID:      "rp",
		Secrets: []clients.Secret{{Number: 1, Hash: "h"}},
		Scopes:  []string{"openid", "profile", "offline_access", "reports:read"},
		Active:  true,
		Settings: clients.Settings{
			RedirectURIs: []string{callback, "https://rp.example/other"},
			Resources:    []string{"https://api.example", "https://mcp.example/mcp"},
		},
	}
}

// params are those of a good request, changed as a query says; a name alone takes a parameter out.
func params(t *testing.T, changes string) Parameters {
	t.Helper()
	p := Parameters{
		"response_type":         {"code"},
		"client_id":             {"rp"},
		"redirect_uri":          {callback},
		"scope":                 {"openid"},
		"state":                 {"s"},
		"code_challenge":        {challenge},
		"code_challenge_method": {"S256"},
	}
	values, err := url.ParseQuery(changes)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(p, Parameters(values))
	maps.DeleteFunc(p, func(_ string, v []string) bool { return len(v) == 1 && v[0] == "" })
	return p
}

func TestRequestsThatMayBeGranted(t *testing.T) {
	day := 24 * time.Hour
	ages := []time.Duration{0, day, longestAge}
	for _, c := range []struct {
		name, changes string
		want          func(r *Request)
	}{
		{"plain", "", func(*Request) {}},
		{"unknown parameter", "extra=foobar&ui_locales=se&claims_locales=se&display=popup", func(*Request) {}},
		{"no state", "state=", func(r *Request) { r.To.State = "" }},
		{"state of everything printable", "state=" + url.QueryEscape(printable),
			func(r *Request) { r.To.State = printable }},
		{"another redirect URI", "redirect_uri=https://rp.example/other",
			func(r *Request) { r.To.RedirectURI = "https://rp.example/other" }},
		{"form_post", "response_mode=form_post", func(r *Request) { r.To.ResponseMode = clients.ModeFormPost }},
		{"query", "response_mode=query", func(*Request) {}},
		{"scopes in another order, twice, unknown ones", "scope=profile+email+openid++profile",
			func(r *Request) { r.Scopes = []string{"profile", "openid"} }},
		{"no scope", "scope=",
			func(r *Request) { r.Scopes = []string{"openid", "profile", "offline_access", "reports:read"} }},
		{"nonce", "nonce=n-1", func(r *Request) { r.Nonce = "n-1" }},
		{"prompt", "prompt=login+consent", func(r *Request) { r.Prompt = Prompt{Login: true, Consent: true} }},
		{"prompt none", "prompt=none", func(r *Request) { r.Prompt = Prompt{None: true} }},
		{"prompt select_account and one that nobody knows", "prompt=select_account+create",
			func(r *Request) { r.Prompt = Prompt{SelectAccount: true} }},
		{"max_age 0", "max_age=0", func(r *Request) { r.MaxAge = &ages[0] }},
		{"max_age", "max_age=86400", func(r *Request) { r.MaxAge = &ages[1] }},
		{"max_age beyond all ages", "max_age=9223372036854775807", func(r *Request) { r.MaxAge = &ages[2] }},
		{"hints", "login_hint=alice&id_token_hint=x.y.z&acr_values=1+2", func(r *Request) {
			r.LoginHint, r.IDTokenHint, r.ACRValues = "alice", "x.y.z", []string{"1", "2"}
		}},
		{"resources", "resource=https://mcp.example/mcp&resource=https://api.example/&resource=https://api.example",
			func(r *Request) { r.Resources = []string{"https://mcp.example/mcp", "https://api.example"} }},
		{"dpop_jkt", "dpop_jkt=" + challenge, func(r *Request) { r.JKT = challenge }},
		{"claims", "claims=" + url.QueryEscape(`{"userinfo":{"name":{"essential":true}}}`), func(r *Request) {
			r.ClaimsText = `{"userinfo":{"name":{"essential":true}}}`
			r.Claims = ClaimsRequest{UserInfo: map[string]ClaimRequest{"name": {Essential: true}}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := Request{
				ClientID:     "rp",
				To:           Destination{RedirectURI: callback, ResponseMode: clients.ModeQuery, State: "s"},
				RedirectSent: true,
				Scopes:       []string{"openid"},
				Challenge:    challenge,
			}
			c.want(&want)
			got, err := Validate(params(t, c.changes), relyingParty(), false)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%+v, %v\nwant %+v", got, err, want)
			}
		})
	}
}

// printable is every character that a state may have.
var printable = func() string {
	var b strings.Builder
	for c := byte(' '); c <= '~'; c++ {
		b.WriteByte(c)
	}
	return b.String()
}()

// TestRequestsThatAreRefused: which word, and whether the client may be told.
func TestRequestsThatAreRefused(t *testing.T) {
	object := "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"response_mode":"form_post"}`)) + "."
	shouting := "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"RESPONSE_MODE":"form_post"}`)) + "."
	page, query, form := "", clients.ModeQuery, clients.ModeFormPost
	private := func(c *clients.Client) { c.RedirectURIs = append(c.RedirectURIs, "com.example.app:/cb") }
	for _, c := range []struct {
		name, changes string
		code, mode    string // where the client is told: page, query or form
		client        func(c *clients.Client)
	}{
		{"no redirect URI", "redirect_uri=", InvalidRequest, page, nil},
		{"foreign redirect URI", "redirect_uri=https://evil.example/cb", InvalidRedirectURI, page, nil},
		{"redirect URI with more", "redirect_uri=" + callback + "%26x", InvalidRedirectURI, page, nil},
		{"redirect URI twice", "redirect_uri=" + callback + "&redirect_uri=" + callback, InvalidRequest, page, nil},
		{"foreign redirect URI and bad response type", "redirect_uri=https://evil.example&response_type=x",
			InvalidRedirectURI, page, nil},
		{"one redirect URI, but openid", "redirect_uri=", InvalidRequest, page,
			func(c *clients.Client) { c.RedirectURIs = c.RedirectURIs[:1] }},
		{"no response type", "response_type=", InvalidRequest, query, nil},
		{"no response type, by form", "response_type=&response_mode=form_post", InvalidRequest, form, nil},
		{"token", "response_type=token", UnsupportedResponseType, query, nil},
		{"id_token", "response_type=id_token", UnsupportedResponseType, query, nil},
		{"hybrid", "response_type=code+id_token", UnsupportedResponseType, query, nil},
		{"response mode", "response_mode=fragment", InvalidRequest, query, nil},
		{"response mode that the client has not", "response_mode=form_post", InvalidRequest, query,
			func(c *clients.Client) { c.ResponseModes = []string{clients.ModeQuery} }},
		{"form_post to an application", "redirect_uri=com.example.app:/cb&response_mode=form_post", InvalidRequest,
			query, private},
		{"request object", "request=" + object, RequestNotSupported, form, nil},
		{"request object of an application", "redirect_uri=com.example.app:/cb&request=" + object, RequestNotSupported,
			query, private},
		{"request object with a mode in another spelling", "request=" + shouting, RequestNotSupported, query, nil},
		{"request object and a mode outside", "response_mode=query&request=" + object, RequestNotSupported, query, nil},
		{"request object that is none", "request=x", RequestNotSupported, query, nil},
		{"request_uri", "request_uri=https://rp.example/r", RequestURINotSupported, query, nil},
		{"registration", "registration=%7B%7D", RegistrationUnsupported, query, nil},
		{"state twice", "state=a&state=b", InvalidRequest, query, nil},
		{"scope twice", "scope=openid&scope=openid", InvalidRequest, query, nil},
		{"unknown parameter twice", "x=1&x=2", InvalidRequest, query, nil},
		{"line end", "nonce=a%0Ab", InvalidRequest, query, nil},
		{"not UTF-8", "state=%ff", InvalidRequest, query, nil},
		{"grant type", "", UnauthorizedClient, query,
			func(c *clients.Client) { c.GrantTypes = []string{clients.GrantRefresh} }},
		{"no scope left", "scope=email+phone", InvalidScope, query, nil},
		{"offline_access without refresh tokens", "scope=offline_access", InvalidScope, query,
			func(c *clients.Client) { c.GrantTypes = []string{"authorization_code"} }},
		{"no challenge", "code_challenge=&code_challenge_method=", InvalidRequest, query, nil},
		{"no challenge, public", "code_challenge=&code_challenge_method=", InvalidRequest, query,
			func(c *clients.Client) { c.Secrets, c.PKCEOptional = nil, true }},
		{"method without a challenge", "code_challenge=", InvalidRequest, query,
			func(c *clients.Client) { c.PKCEOptional = true }},
		{"plain by default", "code_challenge_method=", InvalidRequest, query, nil},
		{"plain", "code_challenge_method=plain", InvalidRequest, query, nil},
		{"method in small letters", "code_challenge_method=s256", InvalidRequest, query, nil},
		{"short challenge", "code_challenge=" + challenge[:42], InvalidRequest, query, nil},
		{"stray bits", "code_challenge=" + challenge[:42] + "N", InvalidRequest, query, nil},
		{"prompt", "prompt=none+login", InvalidRequest, query, nil},
		{"max_age of words", "max_age=soon", InvalidRequest, query, nil},
		{"negative max_age", "max_age=-1", InvalidRequest, query, nil},
		{"claims", "claims=%5B%5D", InvalidRequest, query, nil},
		{"long nonce", "nonce=" + strings.Repeat("n", maxNonce+1), InvalidRequest, query, nil},
		{"relative resource", "resource=/mcp", InvalidTarget, query, nil},
		{"resource with a fragment", "resource=https://api.example%23", InvalidTarget, query, nil},
		{"unknown resource", "resource=https://other.example", InvalidTarget, query, nil},
		{"slash behind a path", "resource=https://mcp.example/mcp/", InvalidTarget, query, nil},
		{"dpop_jkt", "dpop_jkt=x", InvalidRequest, query, nil},
		{"not pushed", "", InvalidRequest, query, func(c *clients.Client) { c.PARRequired = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := relyingParty()
			if c.client != nil {
				c.client(&client)
			}
			_, err := Validate(params(t, c.changes), client, false)
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Code != c.code || e.Description == "" {
				t.Fatalf("%v, want %s", err, c.code)
			}
			mode := page
			if e.To != nil {
				mode = e.To.ResponseMode
			}
			if mode != c.mode || mode != page && e.To.RedirectURI != params(t, c.changes).Get("redirect_uri") {
				t.Errorf("told by %q: %+v", mode, e.To)
			}
		})
	}
}

func TestRedirectURIThatIsNotSent(t *testing.T) {
	client := relyingParty()
	client.RedirectURIs = client.RedirectURIs[:1]
	r, err := Validate(params(t, "redirect_uri=&scope=reports:read"), client, false)
	if err != nil || r.To.RedirectURI != callback || r.RedirectSent {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestPKCEMayBeLeftOutByAConfidentialClientThatIsDeclaredSo(t *testing.T) {
	client := relyingParty()
	client.PKCEOptional = true
	if r, err := Validate(params(t, "code_challenge=&code_challenge_method="), client, false); err != nil ||
		r.Challenge != "" {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := Validate(params(t, ""), client, true); err != nil || r.Challenge != challenge {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestNarrow(t *testing.T) {
	authorized := []string{"https://api.example", "https://mcp.example/mcp"}
	for _, c := range []struct {
		name        string
		asked, want []string
	}{
		{"nothing", nil, authorized},
		{"one", []string{"https://mcp.example/mcp"}, authorized[1:]},
		{"with a slash, twice", []string{"https://api.example/", "https://api.example"}, authorized[:1]},
		{"another", []string{"https://api.example", "https://other.example"}, nil},
		{"a word", []string{"api"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := Narrow(authorized, c.asked)
			if ok != (c.want != nil) || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%q, %v", got, ok)
			}
		})
	}
	if _, ok := Narrow([]string{"api"}, []string{"api"}); ok {
		t.Error("a word is a resource")
	}
}

// FuzzRequest: whatever is asked, an answer goes only to an address of the client, with its own state,
// and what is granted was asked for, once each, and is the client's to have.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		"", "response_type=code&client_id=rp&redirect_uri=" + url.QueryEscape(callback) +
			"&scope=openid&code_challenge=" +
			challenge + "&code_challenge_method=S256&state=s&max_age=1&prompt=login&resource=https://api.example/",
		"redirect_uri=https://rp.example/other&redirect_uri=x", "request=a.e30.&redirect_uri=" +
			url.QueryEscape(callback),
		"redirect_uri=https%3A%2F%2Frp.example%2Fother&claims=%7B%7D&state=%00", "redirect_uri=https://rp.example/cb",
	} {
		f.Add(seed)
	}
	client := relyingParty()
	f.Fuzz(func(t *testing.T, query string) {
		p, err := ParseParameters(query)
		if err != nil {
			return
		}
		asked, err := url.ParseQuery(query) // what another reader makes of it
		if err != nil {
			t.Fatalf("%q was read, and is no query: %v", query, err)
		}
		r, err := Validate(p, client, false)
		if e, refused := errors.AsType[*Error](err); refused {
			if e.Code == "" || e.To != nil && (!slices.Contains(client.RedirectURIs, e.To.RedirectURI) ||
				e.To.State != "" && e.To.State != asked.Get("state")) {
				t.Fatalf("refused as %+v to %+v", e, e.To)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		checkGranted(t, r, client, asked)
	})
}

// checkGranted holds a request that may be granted against the parameters that were sent.
func checkGranted(t *testing.T, r Request, client clients.Client, asked url.Values) {
	t.Helper()
	for name, values := range asked {
		if len(values) > 1 && name != "resource" {
			t.Errorf("%q was repeated", name)
		}
		if name == "request" || name == "request_uri" || name == "registration" {
			if values[0] != "" {
				t.Errorf("%q was granted", name)
			}
		}
	}
	to := asked.Get("redirect_uri")
	if to == "" && len(client.RedirectURIs) == 1 {
		to = client.RedirectURIs[0]
	}
	if !slices.Contains(client.RedirectURIs, r.To.RedirectURI) || r.To.RedirectURI != to ||
		r.To.State != asked.Get("state") || asked.Get("response_type") != "code" || r.Nonce != asked.Get("nonce") ||
		r.Challenge != asked.Get("code_challenge") || len(r.Challenge) != len(challenge) ||
		asked.Get("code_challenge_method") != "S256" || r.JKT != asked.Get("dpop_jkt") {
		t.Errorf("%+v of %v", r, asked)
	}
	for _, scope := range r.Scopes {
		if !slices.Contains(client.Scopes, scope) ||
			asked.Get("scope") != "" && !slices.Contains(strings.Split(asked.Get("scope"), " "), scope) {
			t.Errorf("scope %q", scope)
		}
	}
	for _, resource := range r.Resources {
		if !slices.Contains(client.Resources, resource) {
			t.Errorf("resource %q", resource)
		}
	}
	if seconds, err := strconv.ParseFloat(asked.Get("max_age"), 64); (r.MaxAge != nil) != (err == nil) ||
		r.MaxAge != nil && r.MaxAge.Seconds() > seconds {
		t.Errorf("max_age %q is %v", asked.Get("max_age"), r.MaxAge)
	}
	if p := r.Prompt; p.None && (p.Login || p.Consent || p.SelectAccount) {
		t.Errorf("prompt %+v", p)
	}
}
