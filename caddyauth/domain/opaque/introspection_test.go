package opaque

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

const foreignAnswer = `{"active":true,"iss":"https://idp.example","sub":"bob","aud":["api","other"],` +
	`"exp":32503680000,"iat":32503676400,` +
	`"scope":"read write","client_id":"app","token_type":"Bearer","username":null,` +
	`"realm_access":{"roles":["admin"]},"project":"default"}`

// introspectionServer is an introspection endpoint that answers with a status, a type and a body.
func introspectionServer(t *testing.T, handler http.HandlerFunc) *IntrospectionClient {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	f := &IntrospectionClient{
		Issuer: token.Issuer{
			Name: "https://idp.example",
		}, Endpoint: server.URL + "/introspect?x=1", ClientID: "gate:way", ClientSecret: "s+c/r t-CANARY",
	}
	if err := f.Validate(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func answering(kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, body)
	}
}

func TestForeignTokenIsWhatItsIssuerSays(t *testing.T) {
	var asked atomic.Int32
	f := introspectionServer(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		id, secret, ok := r.BasicAuth()
		if !ok || id != url.QueryEscape("gate:way") || secret != url.QueryEscape("s+c/r t-CANARY") {
			t.Errorf("credentials %q %q", id, secret)
		}
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || string(body) != "token=ory_at_x.y%2Fz%3D&token_type_hint=access_token" ||
			r.Header.Get(
				"Content-Type",
			) != "application/x-www-form-urlencoded" || r.Header.Get("Accept") != "application/json" ||
			r.URL.RawQuery != "x=1" {
			t.Errorf("%s %s %v", r.Method, body, r.Header)
		}
		answering("application/json; charset=utf-8", foreignAnswer)(w, r)
	})
	for range 3 {
		got, err := f.Verify(t.Context(), "ory_at_x.y/z=")
		if err != nil {
			t.Fatal(err)
		}
		if got.Issuer() != "https://idp.example" || got.Subject != "bob" ||
			!slices.Equal(got.Audience, []string{"api", "other"}) || got.ClientID != "app" ||
			!slices.Equal(got.Scopes, []string{"read", "write"}) || got.Own() || got.Project != "" ||
			got.Type() != token.OpaqueType ||
			got.Raw() != "ory_at_x.y/z=" {
			t.Errorf("%+v", got)
		}
		if roles, ok := got.Claim("realm_access.roles"); !ok || !slices.Equal(token.Strings(roles), []string{"admin"}) {
			t.Errorf("roles %v", roles)
		}
	}
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
}

func TestForeignAnswersThatMakeNoToken(t *testing.T) {
	const rest = `"sub":"bob","aud":"api","exp":32503680000`
	for _, c := range []struct {
		body string
		want token.Reason // empty: accepted
	}{
		{`{"active":true,` + rest + `}`, ""},
		{`{"active":true,` + rest + `,"token_type":"bearer"}`, ""},
		{`{"active":true,` + rest + `,"token_type":null}`, ""},
		{`{"active":true,` + rest + `,"cnf":null}`, ""},
		{`{"active":true,` + rest + `,"cnf":{"x5t#S256":"x"}}`, token.WrongType},
		{`{"active":true,` + rest + `,"token_type":"bearer","cnf":{"jkt":"x"}}`, token.WrongType},
		{`{"active":false}`, token.Inactive},
		{`{"active":false,` + rest + `}`, token.Inactive},
		{`{` + rest + `}`, token.KeysUnavailable},
		{`{"active":"true",` + rest + `}`, token.KeysUnavailable},
		{`{"active":1,` + rest + `}`, token.KeysUnavailable},
		{`{"active":null,` + rest + `}`, token.KeysUnavailable},
		{`{"Active":true,` + rest + `}`, token.KeysUnavailable},
		{`{"Active":true,"active":false}`, token.Inactive},
		{`[true]`, token.KeysUnavailable},
		{`null`, token.KeysUnavailable},
		{``, token.KeysUnavailable},
		{`{"active":true,` + rest + `} x`, token.KeysUnavailable},
		{`{"active":false,"active":true,` + rest + `}`, token.Malformed},
		{`{"active":true,` + rest + `,"Sub":"alice"}`, token.Malformed},
		{`{"active":true,` + rest + `,"iss":"https://auth.example.com"}`, token.UnknownIssuer},
		{`{"active":true,"aud":"api","exp":32503680000}`, token.Malformed},
		{`{"active":true,"sub":"bob","exp":32503680000}`, token.WrongAudience},
		{`{"active":true,"sub":"bob","aud":"api"}`, token.Malformed},
		{`{"active":true,` + rest + `,"token_type":"refresh_token"}`, token.WrongType},
		{`{"active":true,` + rest + `,"token_type":"DPoP"}`, token.WrongType},
		{`{"active":true,` + rest + `,"token_type":["Bearer"]}`, token.WrongType},
		{`{"active":true,` + rest + `,"token_type":"Bearer","token_use":"refresh_token"}`, token.WrongType},
		{`{"active":true,` + rest + `,"typ":"ID"}`, token.WrongType},
		{`{"active":true,` + rest + `,"typ":"Refresh"}`, token.WrongType},
		{`{"active":false}` + strings.Repeat(" ", maxResponse), token.KeysUnavailable},
		{`{"active":true,` + rest + `,"x":"` + strings.Repeat("x", maxResponse) + `"}`, token.KeysUnavailable},
	} {
		f := introspectionServer(t, answering("application/json", c.body))
		got, err := f.Verify(t.Context(), "x")
		if refusalReason(err) != c.want || (err == nil) != (c.want == "") || (got == nil) != (err != nil) {
			t.Errorf("%.90s: %v, %v; want %q", c.body, got, err, c.want)
		}
	}
}

func TestForeignEndpointThatDoesNotAnswer(t *testing.T) {
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		elsewhere.Add(1)
		answering("application/json", foreignAnswer)(w, r)
	}))
	defer other.Close()
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
	}{
		{"401", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }},
		{"500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		}},
		{"HTML", answering("text/html", foreignAnswer)},
		{"no type", answering("", foreignAnswer)},
		{"signed", answering("application/token-introspection+jwt", foreignAnswer)},
		{"hangs up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		{"endless", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat(" ", 4096)); err != nil {
					return
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := introspectionServer(t, c.handler)
			_, err := f.Verify(t.Context(), "token-CANARY")
			if refusalReason(err) != token.KeysUnavailable || strings.Contains(fmt.Sprint(err), "CANARY") {
				t.Errorf("%s: %v", c.name, err)
			}
		})
	}
	if elsewhere.Load() != 0 {
		t.Error("the credentials went elsewhere")
	}
	f := introspectionServer(t, answering("application/json", foreignAnswer))
	f.Endpoint = "http://127.0.0.1:1/"
	if _, err := f.Verify(t.Context(), "token-CANARY"); refusalReason(err) != token.KeysUnavailable ||
		strings.Contains(fmt.Sprint(err), "CANARY") {
		t.Errorf("nobody there: %v", err)
	}
}

func TestForeignIsAskedOnlyAboutWhatCouldBeAToken(t *testing.T) {
	f := introspectionServer(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") })
	huge := strings.Repeat("x", token.MaxSize+1)
	for _, raw := range []string{"", "=", "a b", "a\n", "a,b", "ä", "a=b", `a"`, huge} {
		if _, err := f.Verify(t.Context(), raw); refusalReason(err) != token.Malformed {
			t.Errorf("%.20q: %v", raw, err)
		}
	}
	// Our own secrets are for nobody else.
	for _, raw := range []string{"rt_1.FAMILY.0.mac", "at_x", clients.NewSecret(), "caat_x"} {
		if _, err := f.Verify(t.Context(), raw); refusalReason(err) != token.WrongType {
			t.Errorf("%.8q: %v", raw, err)
		}
	}
}

func TestForeignCheckRefusesWhatIsNotSafe(t *testing.T) {
	for _, c := range []struct {
		endpoint string
		good     bool
	}{
		{"https://idp.example/introspect", true}, {"http://localhost:1/i", true}, {"http://127.0.0.1/i", true},
		{"http://[::1]:8/i", true}, {"http://a.localhost/i", true}, {"http://idp.example/i", false},
		{"http://127.0.0.1.example/i", false}, {"ftp://localhost/i", false}, {"https://", false}, {"/i", false},
		{"", false}, {"https://user:pass-CANARY@idp.example/i", false}, {"https://idp.example/i#x", false},
		{"http://10.0.0.1/i", false}, {"%", false},
	} {
		t.Run(c.endpoint, func(t *testing.T) {
			f := &IntrospectionClient{
				Issuer:       token.Issuer{Name: "x"},
				Endpoint:     c.endpoint,
				ClientID:     "id",
				ClientSecret: "secret",
			}
			if err := f.Validate(); (err == nil) != c.good || strings.Contains(fmt.Sprint(err), "CANARY") {
				t.Errorf("%q: %v", c.endpoint, err)
			}
		})
	}
	for _, c := range []struct {
		name string
		f    *IntrospectionClient
	}{
		{"issuer", &IntrospectionClient{Endpoint: "https://h", ClientID: "id", ClientSecret: "s"}},
		{"id", &IntrospectionClient{Issuer: token.Issuer{Name: "x"}, Endpoint: "https://h", ClientSecret: "s"}},
		{"secret", &IntrospectionClient{Issuer: token.Issuer{Name: "x"}, Endpoint: "https://h", ClientID: "id"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.f.Validate() == nil {
				t.Errorf("without %s it is taken", c.name)
			}
		})
	}
}

func TestForeignSecretIsNotPrinted(t *testing.T) {
	f := &IntrospectionClient{
		Issuer:       token.Issuer{Name: "x"},
		Endpoint:     "https://h",
		ClientID:     "id",
		ClientSecret: "CANARY",
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(verb, f); strings.Contains(text, "CANARY") || !strings.Contains(text, "https://h") {
			t.Errorf("%s: %s", verb, text)
		}
	}
}

// script answers questions without a network, so that time can be virtual.
type script struct {
	mu    sync.Mutex
	asked int
	body  string
	err   error
}

func (s *script) RoundTrip(*http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.err != nil {
		return nil, s.err
	}
	return &http.Response{
		StatusCode: 200,
		Header:     http.Header{"Content-Type": {"application/json"}},
		Body:       io.NopCloser(strings.NewReader(s.body)),
	}, nil
}

func TestForeignAnswersAreRememberedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		f := &IntrospectionClient{
			Issuer:       token.Issuer{Name: "https://idp.example"},
			Endpoint:     "https://h",
			ClientID:     "id",
			ClientSecret: "s",
			Transport:    s,
			Denied:       &revocation.DenyList{},
		}
		expect := func(asked int, want token.Reason) {
			t.Helper()
			if _, err := f.Verify(t.Context(), "x"); refusalReason(err) != want || s.asked != asked {
				t.Errorf("%v; asked %d times, want %q and %d", err, s.asked, want, asked)
			}
		}
		s.body = `{"active":false}`
		expect(1, token.Inactive)
		time.Sleep(refusalTime - 1)
		expect(1, token.Inactive)
		time.Sleep(time.Nanosecond)
		s.body = fmt.Sprintf(
			`{"active":true,"sub":"bob","aud":"api","jti":"id","exp":%d}`,
			time.Now().Add(90*time.Second).Unix(),
		)
		expect(2, "")
		s.body = `{"active":false}`
		time.Sleep(DefaultCacheFor - 1)
		expect(2, "")
		time.Sleep(time.Nanosecond)
		expect(3, token.Inactive)

		time.Sleep(refusalTime)
		s.err = errors.New("unplugged")
		expect(4, token.KeysUnavailable)
		s.err, s.body = nil, fmt.Sprintf(
			`{"active":true,"sub":"bob","aud":"api","jti":"id","exp":%d}`,
			time.Now().Add(10*time.Second).Unix(),
		)
		expect(5, "") // a failure is not remembered
		time.Sleep(10*time.Second - 1)
		expect(5, "")
		time.Sleep(time.Nanosecond)
		expect(6, "") // never past its end; the gate's clock does the rest
		s.body = strings.Replace(s.body, `"exp":`, `"exp":1`, 1)
		expect(7, "")
		f.Denied.Add(revocation.Denial{Kind: revocation.TokenKind, Scope: "https://idp.example", ID: "id"})
		expect(7, token.Revoked)
	})
}

// Every Foreign asks with its own credentials and remembers for itself.
func TestAnswersAreKeptApartByWhoAsked(t *testing.T) {
	s := &script{body: foreignAnswer}
	for i := range 3 {
		f := &IntrospectionClient{
			Issuer:       token.Issuer{Name: "https://idp.example"},
			Endpoint:     "https://h",
			ClientID:     fmt.Sprint("caller ", i),
			ClientSecret: "s",
			Transport:    s,
		}
		if _, err := f.Verify(t.Context(), "x"); err != nil || s.asked != i+1 {
			t.Errorf("caller %d: %v, asked %d times", i, err, s.asked)
		}
	}
}
