package ui

import (
	"bytes"
	"crypto/rand"
	"embed"
	"html/template"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
)

//go:embed pages/*.html pages/page.css pages/page.js
var files embed.FS

var (
	stylesheet = template.CSS(mustRead("pages/page.css"))
	script     = template.JS(mustRead("pages/page.js"))
	templates  = parse("login.html", "signedin.html", "signout.html", "signedout.html", "start.html", "message.html",
		"consent.html", "formpost.html", "device.html", "applications.html")
)

// view is what the templates see.
type view struct {
	Page       Page
	Title      string
	Form       bool
	Nonce      string
	Stylesheet template.CSS
	Script     template.JS
}

// Render answers with the page, the status, and the headers that belong to every page: a content
// security policy that allows only the page's own style and script (by nonce), its own forms, the
// icons that it shows and, but for a framed message, no frame; no-store, no-referrer, nosniff, and
// isolation from other windows. It replaces these headers and leaves others (Set-Cookie, Retry-After)
// alone.
//
// If a page cannot be rendered, the answer is a plain 500. A client that went away is not an error.
func Render(w http.ResponseWriter, status int, page Page) {
	nonce := rand.Text()
	var body bytes.Buffer
	err := templates[page.template()].Execute(&body, view{
		Page: page, Title: page.title(), Form: page.hasForm(),
		Nonce: nonce, Stylesheet: stylesheet, Script: script,
	})
	if err != nil {
		http.Error(w, "the page could not be rendered", http.StatusInternalServerError)
		return
	}
	setHeaders(w.Header(), nonce, page)
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	_, _ = body.WriteTo(w)
}

// setHeaders sets what a browser must know of a page before it reads it.
//
// Referrer-Policy is no-referrer, under which browsers send `Origin: null` with a form. That is
// enough for those that send Sec-Fetch-Site (all since 2023, on https and loopback); for the
// others, pages with a form loosen it to same-origin in a meta element, so that the check for
// requests from other sites sees the true origin. No other site sees a referrer either way.
func setHeaders(h http.Header, nonce string, page Page) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy(nonce, page))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", map[bool]string{true: "SAMEORIGIN", false: "DENY"}[page.framed()])
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

func policy(nonce string, page Page) string {
	formAction := "'none'"
	if page.hasForm() {
		formAction = strings.Join(append([]string{"'self'"}, page.formOrigins()...), " ")
	}
	ancestors := "'none'"
	if page.framed() {
		ancestors = "'self'"
	}
	images := ""
	if p, ok := page.(interface{ imageSources() []string }); ok && len(p.imageSources()) > 0 {
		images = "; img-src " + strings.Join(p.imageSources(), " ")
	}
	return "default-src 'none'; style-src 'nonce-" + nonce + "'; script-src 'nonce-" + nonce + "'" + images +
		"; form-action " + formAction + "; base-uri 'none'; frame-ancestors " + ancestors
}

func parse(names ...string) map[string]*template.Template {
	all := make(map[string]*template.Template, len(names))
	for _, name := range names {
		all[name] = template.Must(template.ParseFS(files, "pages/layout.html", "pages/"+name))
	}
	return all
}

func mustRead(name string) string {
	data, err := fs.ReadFile(files, name)
	if err != nil {
		panic(err)
	}
	return string(data)
}
