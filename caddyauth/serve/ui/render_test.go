package ui

import (
	"fmt"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>'` + "`{{.Nonce}}javascript:alert(1)\x00\u2028"

func allPages(text, address string) map[string]Page {
	links := []Link{{text, address}, {text, address}}
	return map[string]Page{
		"login": Login{
			Site:       text,
			Action:     address,
			Next:       text,
			NextOrigin: "https://app.example.com",
			NextHost:   text,
			Username:   text,
			Problem:    text,
			Notice:     text,
			Links:      links,
		},
		"signed in": SignedIn{Site: text, Subject: text, SignOut: address, Next: address, NextHost: text},
		"elsewhere": SignedIn{
			Site:        text,
			Subject:     text,
			SignOut:     address,
			Next:        address,
			NextHost:    text,
			Unreachable: true,
		},
		"refused": SignedIn{
			Site:     text,
			Subject:  text,
			SignOut:  address,
			Next:     address,
			NextHost: text,
			Refused:  true,
			Links:    links,
		},
		"sign out": SignOut{Site: text, Subject: text, Action: address, Back: address, Next: text},
		"start":    Start{Site: text, Links: links},
		"applications": Applications{
			Site:    text,
			Subject: text,
			SignOut: address,
			Search:  address,
			Query:   text,
			List:    []Application{{Name: text, URL: address, Host: text}, {Name: text, URL: address, Icon: text}},
		},
		"no application": Applications{Site: text, Subject: text, SignOut: address, Search: address, Query: text},
		"message":        Message{Site: text, Title: text, Text: text, Subject: text, Code: text, Links: links},
		"framed":         Message{Site: text, Title: text, Text: text, Code: text, Links: links, Framed: true},
		"consent": Consent{
			Site:           text,
			Subject:        text,
			Client:         text,
			ClientHost:     text,
			Scopes:         []string{text},
			Learns:         []string{text},
			Resources:      []string{text},
			Warnings:       []string{text},
			Notice:         text,
			RedirectHost:   text,
			RedirectOrigin: "https://rp.example.com",
			Action:         address,
			Fields:         []Field{{text, text}},
			Links:          links,
		},
		"device": Device{
			Site:     text,
			Subject:  text,
			Action:   address,
			UserCode: text,
			Problem:  text,
			Links:    links,
		},
		"form post": FormPost{
			Site:   text,
			Host:   text,
			Action: address,
			Origin: "https://rp.example.com",
			Fields: []Field{{text, text}},
		},
		"empty":    Login{},
		"stranger": SignOut{},
		"blank":    Message{},
	}
}

func render(page Page) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	Render(w, 418, page)
	return w
}

var nonceOf = regexp.MustCompile(`script-src 'nonce-([A-Z2-7]{26,})'`)

func TestEveryPageCarriesTheSecurityHeaders(t *testing.T) {
	for name, page := range allPages("text", "/auth/login") {
		w := render(page)
		for _, c := range []struct{ header, want string }{
			{"Content-Type", "text/html; charset=utf-8"}, {"X-Content-Type-Options", "nosniff"},
			{"X-Frame-Options", map[bool]string{false: "DENY", true: "SAMEORIGIN"}[name == "framed"]},
			{"Cache-Control", "no-store"}, {"Referrer-Policy", "no-referrer"},
			{"Cross-Origin-Opener-Policy", "same-origin"}, {"Cross-Origin-Resource-Policy", "same-origin"},
			{"Content-Length", fmt.Sprint(w.Body.Len())},
		} {
			t.Run(c.header, func(t *testing.T) {
				if got := w.Header().Get(c.header); got != c.want {
					t.Errorf("%s: %s is %q, want %q", name, c.header, got, c.want)
				}
			})
		}
		if w.Code != 418 {
			t.Errorf("%s: status %d", name, w.Code)
		}
	}
}

func TestThePolicyAllowsTheOwnStyleScriptAndFormOnly(t *testing.T) {
	for name, page := range allPages("text", "/login") {
		w := render(page)
		policy := w.Header().Get("Content-Security-Policy")
		nonce := nonceOf.FindStringSubmatch(policy)
		if nonce == nil {
			t.Fatalf("%s: no nonce in %s", name, policy)
		}
		form := "'self'"
		switch page := page.(type) {
		case Message, Start:
			form = "'none'"
		case Login:
			form = strings.TrimSpace("'self' " + page.NextOrigin)
		case Consent, FormPost:
			form = "'self' https://rp.example.com"
		}
		want := "default-src 'none'; style-src 'nonce-" + nonce[1] + "'; script-src 'nonce-" + nonce[1] +
			"'; form-action " + form +
			"; base-uri 'none'; frame-ancestors " + map[bool]string{false: "'none'", true: "'self'"}[name == "framed"]
		if policy != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, policy, want)
		}
		body := w.Body.String()
		if n := strings.Count(body, "<script"); n != strings.Count(body, `<script nonce="`+nonce[1]+`">`) {
			t.Errorf("%s: a script without the nonce", name)
		}
		if strings.Count(body, "<style") != 1 || !strings.Contains(body, `<style nonce="`+nonce[1]+`">`) {
			t.Errorf("%s: the style is without the nonce", name)
		}
	}
}

func TestNoncesAreUsedOnce(t *testing.T) {
	a, b := render(Message{}), render(Message{})
	if a.Header().Get("Content-Security-Policy") == b.Header().Get("Content-Security-Policy") {
		t.Error("two pages share a nonce")
	}
}

func TestPagesLoadNothing(t *testing.T) {
	outside := regexp.MustCompile(`(?i)(src\s*=|url\(|@import|<link|<iframe|<object|//fonts|` +
		`style\s*=\s*"|\son[a-z]+\s*=\s*")`)
	for name, page := range allPages("text", "/login") {
		if found := outside.FindString(render(page).Body.String()); found != "" {
			t.Errorf("%s: %q", name, found)
		}
	}
}

func TestEverythingReflectedIsEscaped(t *testing.T) {
	for name, page := range allPages(evil, "/login") {
		body := render(page).Body.String()
		for _, raw := range []string{"<script>alert", "<img", `value=""><`, "onerror=alert(1)>'"} {
			if strings.Contains(body, raw) {
				t.Errorf("%s: %q survives", name, raw)
			}
		}
	}
}

func TestAddressesThatRunScriptsAreDefused(t *testing.T) {
	for _, address := range []string{
		"javascript:alert(1)", "JAVASCRIPT:alert(1)", " javascript:alert(1)", "data:text/html,x", "vbscript:x",
	} {
		for name, page := range allPages("text", address) {
			body := strings.ToLower(render(page).Body.String())
			for _, attribute := range []string{"href", "action"} {
				if strings.Contains(body, attribute+`="`+strings.TrimSpace(strings.ToLower(address))) {
					t.Errorf("%s: %s leads to %s", name, attribute, address)
				}
			}
		}
	}
}

func TestAnAddressSurvivesWhole(t *testing.T) {
	body := render(Login{Next: "https://app.example.com/x?a=1&b=2#f"}).Body.String()
	if !strings.Contains(body, `name="next" value="https://app.example.com/x?a=1&amp;b=2#f" data-next`) {
		t.Error(body)
	}
}

func TestOnlyPagesWithAFormLoosenTheReferrer(t *testing.T) {
	for name, page := range allPages("text", "/login") {
		got := strings.Contains(render(page).Body.String(), `<meta name="referrer" content="same-origin">`)
		if got != page.hasForm() {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestTheLoginFormIsMadeForPeopleAndPasswordManagers(t *testing.T) {
	fresh := render(Login{Action: "/auth/login"}).Body.String()
	failed := render(Login{Action: "/auth/login", Username: "alice", Problem: "Wrong."}).Body.String()
	for _, want := range []string{
		`<html lang="en">`, `name="viewport"`, `<form method="post" action="/auth/login">`, `<label for="username">`,
		`<label for="password">`, `autocomplete="username"`, `autocomplete="current-password"`,
		`prefers-color-scheme: dark`, `type="password"`,
	} {
		if !strings.Contains(fresh, want) || !strings.Contains(failed, want) {
			t.Errorf("no %s", want)
		}
	}
	focused := regexp.MustCompile(`id="(\w+)"[^>]* autofocus>`)
	if m := focused.FindAllStringSubmatch(fresh, -1); len(m) != 1 || m[0][1] != "username" {
		t.Errorf("a fresh form focuses %v", m)
	}
	if m := focused.FindAllStringSubmatch(failed, -1); len(m) != 1 || m[0][1] != "password" {
		t.Errorf("a failed form focuses %v", m)
	}
	if !strings.Contains(failed, `id="problem" role="alert" aria-live="assertive">Wrong.`) ||
		strings.Count(failed, `aria-describedby="problem"`) != 2 {
		t.Error("the problem is not announced")
	}
	if strings.Contains(fresh, "problem\"") {
		t.Error("a fresh form has a problem")
	}
}

func TestTheCircleIsExplained(t *testing.T) {
	page := SignedIn{
		Site:        "auth.example.com",
		Subject:     "alice",
		Next:        "https://app.example.com/",
		NextHost:    "app.example.com",
		Unreachable: true,
	}
	body := render(page).Body.String()
	for _, want := range []string{"cannot see this sign-in", "<strong>auth.example.com</strong> alone"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(body, "auth_server") || strings.Contains(body, "jwt_auth") ||
		strings.Contains(body, "operator") {
		t.Error("the visitor is told what the operator should do")
	}
	page.Unreachable = false
	if body := render(page).Body.String(); strings.Contains(body, "cannot see") ||
		!strings.Contains(body, "Continue to app.example.com") {
		t.Error(body)
	}
}
