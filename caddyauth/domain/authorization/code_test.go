package authorization

import (
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(c *Code, p *Presented)
		want   Verdict
	}{
		{"good", func(*Code, *Presented) {}, Redeemed},
		{"no redirect URI behind PKCE", func(_ *Code, p *Presented) { p.RedirectURI = "" }, Redeemed},
		{"no redirect URI in the request, and none here",
			func(c *Code, p *Presented) { c.RedirectSent, p.RedirectURI = false, "" }, Redeemed},
		{"without PKCE", func(c *Code, p *Presented) { c.Challenge, p.Verifier = "", "" }, Redeemed},
		{"longest verifier", func(c *Code, p *Presented) {
			p.Verifier = strings.Repeat("~", 128)
			c.Challenge = "zNhOm5Jyonenca7bQzzpjUpwFDVrfhrbbOGCqgWA6HU"
		}, Redeemed},
		{"bound", func(c *Code, p *Presented) { c.JKT, p.JKT = "k", "k" }, Redeemed},
		{"key of its own accord", func(_ *Code, p *Presented) { p.JKT = "k" }, Redeemed},
		{"last moment", func(c *Code, _ *Presented) { c.Expires = noon.Add(time.Millisecond) }, Redeemed},

		{"other client", func(_ *Code, p *Presented) { p.ClientID = "other" }, OtherClient},
		{"no verifier", func(_ *Code, p *Presented) { p.Verifier = "" }, BadVerifier},
		{"wrong verifier", func(_ *Code, p *Presented) { p.Verifier = verifier[:42] + "x" }, BadVerifier},
		{"verifier without a challenge", func(c *Code, _ *Presented) { c.Challenge = "" }, BadVerifier},
		{"challenge as verifier", func(_ *Code, p *Presented) { p.Verifier = challenge }, BadVerifier},
		{"short verifier", func(c *Code, p *Presented) {
			p.Verifier = strings.Repeat("a", 42)
			c.Challenge = "elOGB_2quSlplZKfRRVlu7gULhhEEXMiqv0rPXawGv8"
		}, BadVerifier},
		{"other redirect URI", func(_ *Code, p *Presented) { p.RedirectURI += "/" }, OtherRedirect},
		{"no redirect URI without PKCE",
			func(c *Code, p *Presented) { c.Challenge, p.Verifier, p.RedirectURI = "", "", "" }, OtherRedirect},
		{"other key", func(c *Code, p *Presented) { c.JKT, p.JKT = "k", "l" }, OtherKey},
		{"no key", func(c *Code, _ *Presented) { c.JKT = "k" }, OtherKey},
		{"expired", func(c *Code, _ *Presented) { c.Expires = noon }, Expired},
		{"used", func(c *Code, _ *Presented) { c.Used = noon.Add(-time.Second) }, Replayed},
		{"used, and expired since", func(c *Code, _ *Presented) { c.Used, c.Expires = noon, noon }, Replayed},
		{"used, seen by somebody", func(c *Code, p *Presented) { c.Used, p.Verifier = noon, "" }, BadVerifier},
		{"used, by another client", func(c *Code, p *Presented) { c.Used, p.ClientID = noon, "other" }, OtherClient},
	} {
		t.Run(c.name, func(t *testing.T) {
			code := Code{
				ClientID:     "rp",
				RedirectURI:  callback,
				RedirectSent: true,
				Challenge:    challenge,
				Expires:      noon.Add(time.Minute),
			}
			p := Presented{ClientID: "rp", RedirectURI: callback, Verifier: verifier}
			c.change(&code, &p)
			if got := code.Judge(p, noon); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestPushedReferences(t *testing.T) {
	if r, ok := PushedReference(PushedURI("abc")); !ok || r != "abc" {
		t.Errorf("%q, %v", r, ok)
	}
	for _, uri := range []string{
		"", "abc", "https://rp.example/r", PushedURI(""), PushedURI(strings.Repeat("a", 129)),
		"URN:ietf:params:oauth:request_uri:abc",
	} {
		if r, ok := PushedReference(uri); ok {
			t.Errorf("%q is a reference, %q", uri, r)
		}
	}
}

func TestCredentialsAreNotPushed(t *testing.T) {
	p := Parameters{"client_id": {"rp"}, "client_secret": {"x"}, "client_assertion": {"x"}, "resource": {"a", "b"}}
	if got := p.WithoutCredentials().Encode(); got != "client_id=rp&resource=a&resource=b" {
		t.Error(got)
	}
}
