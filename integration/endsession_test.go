package integration

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// receiver is the side of a relying party that learns of sign-ins that ended, and where people come
// back to afterwards.
type receiver struct {
	*httptest.Server

	mu       sync.Mutex
	failures int // how many notices are refused before one is taken
	refused  int
	tokens   []string
	other    []string // what is wrong with requests
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) serve(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path == "/bye" {
		_, _ = w.Write([]byte("good-bye " + req.URL.Query().Get("state")))
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	err := req.ParseForm()
	if err != nil || req.Method != "POST" || len(req.PostForm) != 1 || len(req.PostForm["logout_token"]) != 1 {
		r.other = append(r.other, req.Method+" "+req.URL.String())
	}
	if r.refused < r.failures {
		r.refused++
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	r.tokens = append(r.tokens, req.PostForm.Get("logout_token"))
}

// got are the tokens that were taken, and how many were refused.
func (r *receiver) got() (tokens []string, refused int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.tokens), r.refused
}

// newEnding is a server whose client "rp" is told at the receiver, if the server may reach it.
func newEnding(t *testing.T, engine string, r *receiver, egress string) *authorizing {
	t.Helper()
	was := authorizeAuth
	t.Cleanup(func() { authorizeAuth = was })
	authorizeAuth = strings.TrimSuffix(authorizeAuth, "}") + egress + "\n}"
	parties := relyingParties
	t.Cleanup(func() { relyingParties = parties })
	relyingParties = []relyingParty{
		{ID: "rp", More: "post_logout_redirect_uri " + rpCallback + " " + r.URL + "/bye\n" +
			"\t\tbackchannel_logout_uri " + r.URL + "/told?tenant=1"},
		{ID: "other"},
	}
	x := newAuthorizing(t, engine)
	x.loadFiltered(authorizeAuth, authorizeSites) // clients send ID tokens in the address
	return x
}

const toLoopback = "egress {\n\t\tallow 127.0.0.0/8\n\t}"

// everyCharacter has 128 printable characters of ASCII, each at least once.
var everyCharacter = func() string {
	var all []byte
	for c := byte('~'); c >= ' '; c-- {
		all = append(all, c)
	}
	return string(append(all, all...)[:128])
}()

// logoutAddress is a request of a client to sign a person out.
func logoutAddress(pairs ...string) string {
	return "/logout?" + withPairs(url.Values{}, pairs...).Encode()
}

// TestClientSignsAPersonOut: with the ID token of the session nobody is asked; everything that was
// granted under the session ends at once; and the client is told, although it fails twice first and
// the server is restarted meanwhile.
func TestClientSignsAPersonOut(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			r := newReceiver(t)
			r.failures = 2
			x := newEnding(t, engine, r, toLoopback)
			v := x.visitor(t)
			tokens := x.exchange(t, v.code(v.signIn(v.get(request(t, "")), "alice", alicePassword)), "")
			id := x.idToken(t, tokens.ID, "rp")
			if a := x.get(t, "api", "/", tokens.Access); a.status != http.StatusOK {
				t.Fatalf("the access token at a gate: %d", a.status)
			}

			p := v.get(logoutAddress("id_token_hint", tokens.ID, "post_logout_redirect_uri", rpCallback, "state",
				everyCharacter))
			want := rpCallback + "&state=" + url.QueryEscape(everyCharacter)
			if p.status != http.StatusSeeOther || p.header.Get("Location") != want ||
				p.location.Query().Get("state") != everyCharacter {
				t.Fatalf("%d to %v: %s", p.status, p.header.Get("Location"), p.body)
			}
			x.checkSignedOut(t, v, tokens)
			eventually(t, clientPatience, func() string {
				if _, refused := r.got(); refused == 0 {
					return "nobody has tried to tell the client"
				}
				return ""
			})
			if err := stopServer(); err != nil {
				t.Fatal(err)
			}
			x.loadFiltered(authorizeAuth, authorizeSites)
			eventually(t, time.Minute, func() string {
				if told, _ := r.got(); len(told) == 0 {
					return "the client was not told"
				}
				return ""
			})
			told, refused := r.got()
			if len(told) == 0 {
				t.FailNow()
			}
			if len(told) != 1 || refused != 2 || len(r.other) > 0 {
				t.Errorf("told %d times, after %d refusals; requests %q", len(told), refused, r.other)
			}
			x.checkLogoutToken(t, told[0], "rp", id)
		})
	}
}

// TestSignOutWithAnOfflineGrant: the ID token of a client that keeps its tokens (offline_access) names
// the sign-in, at a refresh too, and signs out without a question. The client is told of it by that
// `sid`, after the tokens of its code were refreshed again, and keeps its refresh token.
func TestSignOutWithAnOfflineGrant(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			r := newReceiver(t)
			x := newEnding(t, engine, r, toLoopback)
			v := x.visitor(t)
			signIn := v.signIn(v.get(request(t, "")), "alice", alicePassword)
			online := x.idToken(t, x.exchange(t, v.code(signIn), "").ID, "rp")
			offline := request(t, "scope=openid+offline_access&prompt=consent&client_id=rp")
			first := x.exchange(t, v.code(v.get(offline)), "")
			second := x.refresh(t, first.Refresh, "")
			for _, c := range []struct{ name, raw string }{{"of the code", first.ID}, {"of a refresh", second.ID}} {
				if id := x.idToken(t, c.raw, "rp"); id["sid"] != online["sid"] || id["sid"] == nil {
					t.Errorf("the ID token %s: sid %v, want %v", c.name, id["sid"], online["sid"])
				}
			}

			p := v.get(logoutAddress("id_token_hint", second.ID, "post_logout_redirect_uri", rpCallback))
			if p.status != http.StatusSeeOther || p.header.Get("Location") != rpCallback {
				t.Fatalf("%d to %v: %s", p.status, p.header.Get("Location"), p.body)
			}
			if p := v.get(request(t, "prompt=none")); p.location.Query().Get("error") != "login_required" {
				t.Errorf("prompt=none: %d to %v", p.status, p.location)
			}
			if third := x.refresh(t, second.Refresh, ""); third.status != http.StatusOK ||
				x.idToken(t, third.ID, "rp")["sid"] != online["sid"] {
				t.Errorf("the refresh token: %+v", third)
			}
			if a := x.get(t, "api", "/", second.Access); a.status != http.StatusOK {
				t.Errorf("the access token at a gate: %d", a.status)
			}
			eventually(t, 10*time.Second, func() string {
				if told, _ := r.got(); len(told) == 0 {
					return "the client was not told"
				}
				return ""
			})
			if told, _ := r.got(); len(told) == 1 {
				x.checkLogoutToken(t, told[0], "rp", online)
			} else {
				t.Errorf("told %d times", len(told))
			}
		})
	}
}

// checkSignedOut looks whether all that was granted under a session has ended.
func (x *authorizing) checkSignedOut(t *testing.T, v *visitor, tokens tokenAnswer) {
	t.Helper()
	if p := v.get(request(t, "prompt=none")); p.status != 303 || p.location.Query().Get("error") != "login_required" {
		t.Errorf("prompt=none: %d to %v", p.status, p.location)
	}
	if got := x.refresh(t, tokens.Refresh, ""); got.status != 400 || got.Error != "invalid_grant" {
		t.Errorf("the refresh token: %+v", got)
	}
	if a := x.get(t, "api", "/", tokens.Access); a.status != http.StatusUnauthorized || a.reason(t) != "revoked" {
		t.Errorf("the access token at a gate: %d %s", a.status, a.reason(t))
	}
	if claims, a := x.userInfo(t, call{lines: bearerLine(tokens.Access)}); claims != nil || a.status != 401 {
		t.Errorf("the access token at /userinfo: %d %v", a.status, claims)
	}
}

// checkLogoutToken reads a logout token as a relying party does.
func (x *authorizing) checkLogoutToken(t *testing.T, raw, client string, id map[string]any) {
	t.Helper()
	x.tokens.remember(raw)
	message, err := jws.ParseString(raw)
	if err != nil {
		t.Fatal(err)
	}
	if h := message.Signatures()[0].ProtectedHeaders(); h.Type() != "logout+jwt" ||
		client != "told-es256" && h.Algorithm() != jwa.RS256 {
		t.Errorf("header %v", h)
	}
	claims := x.verified(t, raw, client)
	events, _ := claims["events"].(map[string]any)
	event, there := events["http://schemas.openid.net/event/backchannel-logout"].(map[string]any)
	issued, _ := claims["iat"].(time.Time)
	expires, _ := claims["exp"].(time.Time)
	if claims["sub"] != id["sub"] || claims["sid"] != id["sid"] || claims["jti"] == nil || claims["nonce"] != nil ||
		len(events) != 1 || !there || len(event) != 0 || expires.Sub(issued) != 2*time.Minute || len(claims) != 8 {
		t.Errorf("claims %v, the ID token's %v", claims, id)
	}
	if a := x.get(t, "api", "/", raw); a.status != http.StatusUnauthorized || a.reason(t) != "wrong_type" {
		t.Errorf("the logout token at a gate: %d %s", a.status, a.reason(t))
	}
}

// TestSignOutsThatAreNotCarriedOut: a page or a question each, and the person stays signed in.
func TestSignOutsThatAreNotCarriedOut(t *testing.T) {
	x := newEnding(t, "sqlite", newReceiver(t), "")
	v := x.visitor(t)
	tokens := x.exchange(t, v.code(v.signIn(v.get(request(t, "")), "alice", alicePassword)), "")
	another := x.visitor(t)
	elsewhere := x.exchange(t, v.code(another.signIn(another.get(request(t, "")), "alice", alicePassword)), "")
	const asks, refuses = `id="sign-out"`, "Nothing was changed."
	for _, row := range []struct {
		name, hint, address, text string
		status                    int
	}{
		{"an address that is not registered", tokens.ID, "https://rp.example/other", "has not registered here", 400},
		{"a query added", tokens.ID, rpCallback + "&foo=bar", "has not registered here", 400},
		{"alg none", unsigned(t, tokens.ID), rpCallback, refuses, 400},
		{"a foreign key", signedAnew(t, tokens.ID), rpCallback, refuses, 400},
		{"the access token", tokens.Access, rpCallback, refuses, 400},
		{"no ID token", "nonsense", rpCallback, refuses, 400},
		{"no hint", "", rpCallback, asks, 200},
		{"the ID token of another session", elsewhere.ID, rpCallback, asks, 200},
		{"state alone", "", "", asks, 200},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := v.in(t)
			pairs := []string{"state", "x"}
			for name, value := range map[string]string{"id_token_hint": row.hint,
				"post_logout_redirect_uri": row.address} {
				if value != "" {
					pairs = append(pairs, name, value)
				}
			}
			p := v.get(logoutAddress(pairs...))
			if p.status != row.status || p.leads() || !strings.Contains(p.body, row.text) {
				t.Errorf("%d to %v: %s", p.status, p.location, p.body)
			}
			v.code(v.get(request(t, "prompt=none")))
		})
	}
	t.Run("a form of another site", func(t *testing.T) {
		v := v.in(t)
		p := v.do("POST", "/logout", "application/x-www-form-urlencoded",
			url.Values{"confirmed": {"1"}, "client_id": {"rp"}, "post_logout_redirect_uri": {rpCallback}}.Encode(),
			"Sec-Fetch-Site: cross-site", "Origin: https://rp.example")
		if p.status != 303 || p.location.Path != "/logout" {
			t.Fatalf("%d to %v", p.status, p.location)
		}
		if p = v.get(p.location.String()); p.status != 200 || !strings.Contains(p.body, asks) {
			t.Errorf("%d %s", p.status, p.body)
		}
		v.code(v.get(request(t, "prompt=none")))
	})
	t.Run("confirmed", func(t *testing.T) {
		v := v.in(t)
		form := url.Values{"confirmed": {"1"}, "state": {"x"}}
		p := v.post("/logout", form)
		if p.status != 200 || !strings.Contains(p.body, `id="signed-out">You are signed out.<`) {
			t.Errorf("%d %s", p.status, p.body)
		}
		if p = v.get(request(t, "prompt=none")); p.location.Query().Get("error") != "login_required" {
			t.Errorf("sent to %v", p.location)
		}
		again := v.get(logoutAddress("id_token_hint", tokens.ID, "post_logout_redirect_uri", rpCallback))
		if again.status != 303 || again.header.Get("Location") != rpCallback {
			t.Errorf("when nobody is signed in: %d to %v", again.status, again.location)
		}
	})
}

// unsigned is a token with `alg: none`.
func unsigned(t *testing.T, raw string) string {
	t.Helper()
	parts := strings.Split(raw, ".")
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + "."
}

// signedAnew is a token with the same header and claims, and the signature of another key.
func signedAnew(t *testing.T, raw string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	message, err := jws.ParseString(raw)
	if err != nil {
		t.Fatal(err)
	}
	headers := message.Signatures()[0].ProtectedHeaders()
	signed, err := jws.Sign(message.Payload(), jws.WithKey(jwa.RS256, key, jws.WithProtectedHeaders(headers)))
	if err != nil {
		t.Fatal(err)
	}
	return string(signed)
}

// TestNoticesStayOffThisMachine: unless the operator says so, no client has the server send requests
// to its own machine. The person does not wait for it.
func TestNoticesStayOffThisMachine(t *testing.T) {
	r := newReceiver(t)
	x := newEnding(t, "sqlite", r, "")
	v := x.visitor(t)
	x.exchange(t, v.code(v.signIn(v.get(request(t, "")), "alice", alicePassword)), "")
	v.post("/logout", url.Values{})
	eventually(t, clientPatience, func() string {
		if !strings.Contains(x.log(), `"msg":"logout notice"`) {
			return "no attempt in the log"
		}
		return ""
	})
	told, refused := r.got()
	if len(told)+refused > 0 || !strings.Contains(x.log(), "is not allowed here") {
		t.Errorf("told %d times, refused %d", len(told), refused)
	}
}

// TestMetadataOfSigningOut names what clients look for.
func TestMetadataOfSigningOut(t *testing.T) {
	x := newEnding(t, "sqlite", newReceiver(t), "")
	var d map[string]any
	text := x.get(t, "auth", "/.well-known/openid-configuration", "").body
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	if d["end_session_endpoint"] != x.url("auth")+"/logout" || d["backchannel_logout_supported"] != true ||
		d["backchannel_logout_session_supported"] != true {
		t.Errorf("%s", text)
	}
}

// TestSignOutPageInABrowser: a real browser, with and without scripts, is asked, and goes on to the
// client at once.
func TestSignOutPageInABrowser(t *testing.T) {
	program := requireBrowser(t)
	r := newReceiver(t)
	x := newEnding(t, "sqlite", r, toLoopback)
	for _, scripts := range []bool{true, false} {
		t.Run(map[bool]string{true: "with scripts", false: "without scripts"}[scripts], func(t *testing.T) {
			b := startBrowser(t, program)
			confirm := chromedp.CSS("#sign-out")
			signIn := func() {
				b.do("open the login page", chromedp.Navigate(x.url("auth")+"/login"))
				b.sendsLogin("alice", alicePassword)
				b.do("arrive", chromedp.WaitVisible(chromedp.CSS(`form[action="/logout"]`)))
			}
			signIn()
			if !scripts {
				b.do("no scripts", scriptsOff)
			}
			b.do(
				"be asked",
				chromedp.Navigate(x.url("auth")+logoutAddress("client_id", "rp", "post_logout_redirect_uri",
					r.URL+"/bye", "state", "a b&c")),
				chromedp.WaitVisible(confirm),
			)
			b.picture("logout-client")
			b.do("confirm", chromedp.Click(confirm), chromedp.WaitVisible(plainPage))
			b.at("after confirming", r.URL+"/bye?state=a+b%26c")
			signIn()
			b.do(
				"sign out without a way back",
				chromedp.Navigate(x.url("auth")+logoutAddress("state", "x")),
				chromedp.WaitVisible(
					confirm,
				),
				chromedp.Click(confirm),
				chromedp.WaitVisible(chromedp.CSS("#signed-out")),
			)
			b.at("after that", x.url("auth")+"/logout")
			b.picture("signed-out")
		})
	}
}

// TestOneNodeTellsAClient: of three nodes on one database one sends each notice, whichever of them the
// person signed in and out at.
func TestOneNodeTellsAClient(t *testing.T) {
	r := newReceiver(t)
	n := startNodesWith(t, nodeSite, map[string]any{"More": toLoopback + "\n" + `
		client rp {
			redirect_uri ` + rpCallback + `
			scope openid read
			audience api
			consent off
			backchannel_logout_uri ` + r.URL + `/told
		}`})
	const signOuts = 12
	for i := range signOuts {
		at := func(step int) string { return n.names[(i+step)%len(n.names)] }
		held := n.signedIn(t, at(0), "10.7.0.1")
		sent := sendHTTP1(t, n.addr(at(1)), call{target: request(t, ""), host: n.host(at(1)), lines: held.lines()})
		to, err := url.Parse(sent.header.Get("Location"))
		if err != nil || to.Query().Get("code") == "" {
			t.Fatalf("no code: %d %v: %s", sent.status, sent.header, sent.body)
		}
		n.secret("a code", to.Query().Get("code"))
		form := codeForm(to.Query().Get("code"))
		form.Set("client_id", "rp")
		bought := sendHTTP1(t, n.addr(at(2)), call{
			method: "POST",
			target: "/token",
			host:   n.host(at(2)),
			lines:  []string{"Content-Type: application/x-www-form-urlencoded"},
			body:   form.Encode(),
		})
		if bought.status != http.StatusOK {
			t.Fatalf("no tokens: %d %s", bought.status, bought.body)
		}
		n.signOutAt(t, at(1), held)
	}
	eventually(t, 10*time.Second, func() string {
		if told, _ := r.got(); len(told) < signOuts {
			return fmt.Sprintf("the client was told %d times", len(told))
		}
		return ""
	})
	told, _ := r.got()
	sessions := map[any]bool{}
	for _, raw := range told {
		message, err := jws.ParseString(raw)
		if err != nil {
			t.Fatal(err)
		}
		var claims struct{ Sid, Jti string }
		if err := json.Unmarshal(message.Payload(), &claims); err != nil {
			t.Fatal(err)
		}
		sessions[claims.Sid] = true
	}
	if len(told) != signOuts || len(sessions) != signOuts {
		t.Errorf("told %d times of %d sign-ins that ended, which were %d", len(told), len(sessions), signOuts)
	}
}
