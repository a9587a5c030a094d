package authorize

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/authorization"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/consent"
)

// ask follows the way to the page that asks, and returns it.
func (x *fixture) ask(t *testing.T, query string) *httptest.ResponseRecorder {
	t.Helper()
	w := x.get(query)
	if got := outcome(t, w); got != "consent" {
		t.Fatalf("not asked: %s", got)
	}
	page := httptest.NewRecorder()
	x.ServeHTTP(page, httptest.NewRequest(http.MethodGet, sentTo(t, w).String(), nil))
	if page.Code != http.StatusOK {
		t.Fatalf("%d %s", page.Code, page.Body)
	}
	return page
}

// fields are those of the page, with the decision.
func fields(page *httptest.ResponseRecorder, decided string) url.Values {
	form := url.Values{decision: {decided}}
	for _, name := range []string{requestField, proofField} {
		_, after, _ := strings.Cut(page.Body.String(), `name="`+name+`" value="`)
		value, _, _ := strings.Cut(after, `"`)
		form.Set(name, html.UnescapeString(value))
	}
	return form
}

func (x *fixture) decide(form url.Values, site string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/auth/consent", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", site)
	w := httptest.NewRecorder()
	x.ServeHTTP(w, r)
	return w
}

func TestPersonAllows(t *testing.T) {
	for _, policy := range []string{clients.ConsentOnce, clients.ConsentAlways} {
		t.Run(policy, func(t *testing.T) {
			x := newFixture(t)
			x.session = as("a", 0)
			asks(consent.ErrNotFound, policy)(x)
			page := x.ask(t, params(t, "scope=openid+read&prompt=consent").Encode())
			w := x.decide(fields(page, allow), "same-origin")
			back := sentTo(t, w)
			if back.Path != "/auth/authorize" || len(x.given) != 1 {
				t.Fatalf("sent to %v, given %+v", back, x.given)
			}
			if c := x.given[0]; c.UserID != "u" || c.ClientID != "rp" || c.Project != "default" ||
				strings.Join(c.Scopes, " ") != "openid read" {
				t.Errorf("given %+v", c)
			}
			if e := x.events[0]; e.Kind != audit.Consent || e.Result != "allowed" || e.User != "Alice" || !e.Recorded ||
				e.Detail != "openid read" {
				t.Errorf("event %+v", e)
			}
			if got := outcome(t, x.get(back.RawQuery)); got != "ac_code" {
				t.Errorf("who agreed: %s", got)
			}
			x.session = as("b", 0) // another person at the same browser
			if got := outcome(t, x.get(back.RawQuery)); got != "consent" {
				t.Errorf("who comes afterwards: %s", got)
			}
		})
	}
}

// TestLongestRequest: what is taken at first is taken on the whole way, however its address was
// written.
func TestLongestRequest(t *testing.T) {
	good := params(t, "").Encode() + "&x="
	room := authorization.MaxRequest - len(good)
	for _, c := range []struct {
		name, value string
		want        string
	}{
		{"longest", strings.Repeat("x", room), "consent"},
		{"longer", strings.Repeat("x", room+1), "page"},
		{"longest, escaped", strings.Repeat("%3A", room/3), "consent"},
		{"longest, not escaped", strings.Repeat(":", room/3), "consent"},
		{"longer once it is escaped", strings.Repeat(":", room/3+1), "page"},
		{"far longer once it is escaped", strings.Repeat("{", room), "page"},
		{"shorter once it is escaped", strings.Repeat("%78", room/3), "consent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newFixture(t)
			x.session = as("a", 0)
			asks(consent.ErrNotFound, clients.ConsentOnce)(x)
			query := good + c.value
			if got := outcome(t, x.get(query)); got != c.want {
				t.Fatalf("%s, want %s", got, c.want)
			}
			if c.want == "page" {
				return
			}
			back := sentTo(t, x.decide(fields(x.ask(t, query), allow), "same-origin"))
			if got := outcome(t, x.get(back.RawQuery)); got != "ac_code" {
				t.Error(got)
			}
		})
	}
}

func TestPersonDenies(t *testing.T) {
	x := newFixture(t)
	x.session = as("a", 0)
	asks(consent.ErrNotFound, clients.ConsentOnce)(x)
	w := x.decide(fields(x.ask(t, params(t, "").Encode()), "deny"), "same-origin")
	if got := outcome(t, w); got != "access_denied" || len(x.given) > 0 || x.events[0].Result != "denied" {
		t.Errorf("%s, given %+v, events %+v", got, x.given, x.events)
	}
}

// TestDecisionsThatDoNotCount are answered by asking again, or by a page.
func TestDecisionsThatDoNotCount(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(x *fixture, form url.Values)
		site   string
		want   string
	}{
		{"another site", func(*fixture, url.Values) {}, "cross-site", "page"},
		{"a sibling", func(*fixture, url.Values) {}, "same-site", "page"},
		{"another session", func(x *fixture, _ url.Values) { x.session = as("b", 0) }, "same-origin", "authorize"},
		{"signed out", func(x *fixture, _ url.Values) { x.session = nil }, "same-origin", "authorize"},
		{"no proof", func(_ *fixture, f url.Values) { f.Del(proofField) }, "same-origin", "authorize"},
		{"another request", func(_ *fixture, f url.Values) {
			f.Set(requestField, f.Get(requestField)+"&scope=read")
		}, "same-origin", "page or authorize"},
		{"no request", func(_ *fixture, f url.Values) { f.Del(requestField) }, "same-origin", "page"},
		{"no decision", func(_ *fixture, f url.Values) { f.Del(decision) }, "same-origin", "page"},
		{"another decision", func(_ *fixture, f url.Values) { f.Set(decision, "Allow") }, "same-origin", "page"},
		{"two decisions", func(_ *fixture, f url.Values) { f.Add(decision, "deny") }, "same-origin", "page"},
		{"a client of another project", func(x *fixture, _ url.Values) { x.client.Project = "b" }, "same-origin",
			"unauthorized_client"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newFixture(t)
			x.session = as("a", 0)
			asks(consent.ErrNotFound, clients.ConsentOnce)(x)
			form := fields(x.ask(t, params(t, "").Encode()), allow)
			c.change(x, form)
			w := x.decide(form, c.site)
			got := "page"
			if to := sentTo(t, w); to.Path == "/auth/authorize" {
				got = "authorize"
			} else if to.Host == "rp.example" {
				got = to.Query().Get("error")
			}
			if got != c.want && c.want != "page or authorize" || len(x.given) > 0 || len(x.issued) > 0 {
				t.Errorf("%s, want %s; given %+v, issued %+v", got, c.want, x.given, x.issued)
			}
		})
	}
}

func TestWhatThePageSays(t *testing.T) {
	x := newFixture(t)
	x.session = as("a", 0)
	x.client.Scopes = []string{"openid", "profile", "read"}
	x.client.URI, x.client.Source = "https://www.rp.example/", clients.Registered
	asks(nil, clients.ConsentOnce)(x)
	place := "https://rp.example"
	x.consent.Scopes = []string{consent.At(place, "openid"), consent.Place(place)}
	page := x.ask(t, params(t, "scope=openid+profile+read").Encode())
	body := page.Body.String()
	for _, want := range []string{
		`<strong id="client">Reports</strong> wants`, `<strong id="subject">Alice</strong>`,
		`<li>Read your profile: name, picture and the like</li>`, `<li>read</li>`, `<li>family name</li>`,
		`This application has registered itself`, `<strong id="redirect">rp.example</strong>`,
		`id="allow" name="decision" value="allow"`, `id="deny" name="decision" value="deny"`, "Use another account",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is missing: %s", want, body)
		}
	}
	if strings.Contains(body, "Know who you are") {
		t.Error("what was allowed before is asked again")
	}
	if policy := page.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' https:;") {
		t.Error(policy)
	}

	// Nobody is asked for a client that they cannot sign in to.
	x.client.Project = "b"
	w := httptest.NewRecorder()
	x.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/auth/consent?"+params(t, "").Encode(), nil))
	if got := outcome(t, w); got != "unauthorized_client" {
		t.Errorf("a client of another project: %s", got)
	}
	x.client.Project = "default"

	// Whoever has nothing to be asked goes on.
	x.consent.Scopes = []string{
		consent.At(place, "openid"), consent.At(place, "profile"), consent.At(place, "read"), consent.Place(place),
	}
	w = httptest.NewRecorder()
	x.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/auth/consent?"+params(t, "").Encode(), nil))
	if to := sentTo(t, w); to.Path != "/auth/authorize" {
		t.Errorf("%d to %v", w.Code, to)
	}
}

// TestWhatIsAllowedHoldsWhereItWasAllowed: scopes of an API at the resources that the page named, and all
// that a client which has described itself gets at the place that it named.
func TestWhatIsAllowedHoldsWhereItWasAllowed(t *testing.T) {
	const a, b = "&resource=https://a.example", "&resource=https://b.example"
	const elsewhere = "&redirect_uri=https://b.example/cb"
	for _, c := range []struct {
		name, source string
		allowed      []string
		then         string
		asks         string // what the page lists; empty: nobody is asked
	}{
		{"the same", "", []string{"scope=openid+read" + a}, "scope=openid+read" + a, ""},
		{"in two steps", "", []string{"scope=read" + a, "scope=read" + b}, "scope=read" + a + b, ""},
		{"another resource", "", []string{"scope=openid+read" + a}, "scope=openid+read" + b, "read https://b.example"},
		{"one more resource", "", []string{"scope=read" + a}, "scope=read" + a + b, "read https://b.example"},
		{"one more scope", "", []string{"scope=read" + a}, "scope=read+write" + a, "write https://a.example"},
		{"a scope of one at the other", "", []string{"scope=read" + a, "scope=write" + b}, "scope=read" + b,
			"read https://b.example"},
		{"no resource", "", []string{"scope=read" + a}, "scope=read", "read"},
		{"no resource before", "", []string{"scope=read"}, "scope=read" + a, "read https://a.example"},
		{"who the person is", "", []string{"scope=openid+profile" + a}, "scope=profile", ""},
		{"who the person is, at another resource", "", []string{"scope=profile" + a}, "scope=profile" + b,
			"https://b.example"},
		{"described itself, the same", clients.Registered, []string{"scope=openid+read" + a},
			"scope=openid+read" + a, ""},
		{"described itself, another place", clients.Registered, []string{"scope=openid+read"},
			"scope=openid+read" + elsewhere, "Know who you are read"},
		{"described itself, less at the other place", clients.Registered,
			[]string{"scope=openid+read", "scope=openid" + elsewhere}, "scope=openid+read" + elsewhere, "read"},
		{"described itself, another resource at the other place", clients.Registered,
			[]string{"scope=openid" + a, "scope=openid" + elsewhere}, "scope=openid" + a + elsewhere,
			"https://a.example"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newFixture(t)
			x.session = as("a", 0)
			asks(consent.ErrNotFound, clients.ConsentOnce)(x)
			x.client.Source, x.client.Scopes = c.source, []string{"openid", "profile", "read", "write"}
			x.client.Resources = []string{"https://a.example", "https://b.example"}
			x.client.RedirectURIs = append(x.client.RedirectURIs, "https://b.example/cb")
			for _, request := range c.allowed {
				x.decide(fields(x.ask(t, params(t, request).Encode()), allow), "same-origin")
			}
			query := params(t, c.then).Encode()
			if c.asks == "" {
				if got := outcome(t, x.get(query)); got != "ac_code" {
					t.Errorf("%s", got)
				}
				return
			}
			var listed []string
			for _, item := range regexp.MustCompile(`(?s)<ul id="(?:scopes|resources)">(.*?)</ul>`).
				FindAllStringSubmatch(x.ask(t, query).Body.String(), -1) {
				text := strings.NewReplacer("<li>", " ", "</li>", " ").Replace(item[1])
				listed = append(listed, strings.Join(strings.Fields(text), " "))
			}
			if got := strings.Join(listed, " "); got != c.asks {
				t.Errorf("the page lists %q, want %q", got, c.asks)
			}
		})
	}
}

// TestSingleClaimsAreAllowedToo: what a client asks for by the parameter `claims` beyond its scopes is
// on the page, and asked for once.
func TestSingleClaimsAreAllowedToo(t *testing.T) {
	const email = `{"userinfo":{"email":{"essential":true},"phone_number":null},"id_token":{"name":null}}`
	for _, c := range []struct {
		name, claims string
		given        []string // nil: nothing was allowed yet
		want         string   // the claims on the page; empty: nobody is asked
	}{
		{"nothing allowed yet", email, nil, "email name"},
		{"the scope without them", email, []string{"openid"}, "email name"},
		{"one of them", email, []string{"claim email", "openid"}, "name"},
		{"all of them", email, []string{"claim email", "claim name", "openid"}, ""},
		{"a scope that stands for one", email, []string{"email", "openid"}, "name"},
		{"the ID token alone", `{"id_token":{"email":null}}`, []string{"openid"}, "email"},
		{"beyond the client", `{"userinfo":{"phone_number":null,"sub":null}}`, []string{"openid"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newFixture(t)
			x.session = as("a", 0)
			x.client.Scopes = []string{"openid", "profile", "email"}
			err := consent.ErrNotFound
			if c.given != nil {
				err = nil
			}
			asks(err, clients.ConsentOnce)(x)
			x.consent.Scopes = c.given
			query := params(t, "scope=openid&claims="+url.QueryEscape(c.claims)).Encode()
			if c.want == "" {
				if got := outcome(t, x.get(query)); got != "ac_code" {
					t.Errorf("%s", got)
				}
				return
			}
			page := x.ask(t, query)
			_, list, _ := strings.Cut(page.Body.String(), `<ul id="learns">`)
			list, _, _ = strings.Cut(list, "</ul>")
			got := strings.Fields(strings.NewReplacer("<li>", " ", "</li>", " ").Replace(list))
			if strings.Join(got, " ") != c.want {
				t.Errorf("the page says %q, want %s", got, c.want)
			}
			x.decide(fields(page, allow), "same-origin")
			if len(x.given) != 1 || !slices.Contains(x.given[0].Scopes, "claim name") == (c.claims == email) {
				t.Errorf("given %+v", x.given)
			}
		})
	}
}

// TestWhoThePageSaysAsks: a client that came by itself names no host that is not shown to be its own.
func TestWhoThePageSaysAsks(t *testing.T) {
	const document = "https://app.example/client.json"
	for _, c := range []struct {
		name, id, source, redirectURI, who, where string
	}{
		{"declared", "rp", "", "https://rp.example/cb", "Reports</strong> (bank.example)", "rp.example"},
		{"declared, on a device", "rp", "", "http://127.0.0.1/cb", "Reports</strong> (bank.example)", "Reports"},
		{"registered", "rp", clients.Registered, "https://rp.example/cb", "Reports</strong> wants", "rp.example"},
		{"registered, on a device", "rp", clients.Registered, "http://127.0.0.1:1/cb", "Reports</strong> wants",
			"127.0.0.1:1"},
		{"registered, of an app", "rp", clients.Registered, "com.example.app:/cb", "Reports</strong> wants",
			"com.example.app:"},
		{"document", document, clients.MetadataDocument, "https://rp.example/cb", "Reports</strong> (app.example)",
			"rp.example"},
		{"document, on a device", document, clients.MetadataDocument, "http://localhost/cb",
			"Reports</strong> (app.example)", "localhost"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newFixture(t)
			x.session = as("a", 0)
			asks(consent.ErrNotFound, clients.ConsentOnce)(x)
			x.client.ID, x.client.Source, x.client.URI = c.id, c.source, "https://bank.example/"
			x.client.RedirectURIs = []string{c.redirectURI}
			body := x.ask(t, params(t, url.Values{
				"client_id": {c.id}, "redirect_uri": {c.redirectURI},
			}.Encode()).Encode()).Body.String()
			for _, want := range []string{`<strong id="client">` + c.who, `<strong id="redirect">` + c.where + "<"} {
				if !strings.Contains(body, want) {
					t.Errorf("%s is missing: %s", want, body)
				}
			}
		})
	}
}

// TestAgreementIsForWhatWasAsked: neither the page nor the note of an agreement counts for what the
// client may have since, and the note does not outlive the consent.
func TestAgreementIsForWhatWasAsked(t *testing.T) {
	widen := func(x *fixture) { x.client.Scopes = []string{"openid", "read", "write"} }
	for _, c := range []struct {
		name          string
		before, after func(x *fixture) // the decision
	}{
		{"more scopes before the decision", widen, nil},
		{"more scopes after the decision", nil, widen},
		{"withdrawn", nil, func(x *fixture) { x.consent, x.consentErr = consent.Consent{}, consent.ErrNotFound }},
	} {
		for _, policy := range []string{clients.ConsentOnce, clients.ConsentAlways} {
			t.Run(c.name+", "+policy, func(t *testing.T) {
				x := newFixture(t)
				x.session = as("a", 0)
				asks(consent.ErrNotFound, policy)(x)
				form := fields(x.ask(t, params(t, "scope&response_type=code").Encode()), allow)
				if c.before != nil {
					c.before(x)
				}
				back := sentTo(t, x.decide(form, "same-origin"))
				if c.after != nil {
					c.after(x)
				}
				if got := outcome(t, x.get(back.RawQuery)); got != "consent" || c.before != nil && len(x.given) > 0 {
					t.Errorf("%s, given %+v", got, x.given)
				}
			})
		}
	}
}
