package ui

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

//go:embed session.js
var sessionSource string

// The two builds differ in how a page loads them and how they learn their own address, in nothing
// else: import.meta is a syntax error in a classic script.
var (
	classicScript = newAsset("(function () {\n\"use strict\";\n" + sessionSource +
		"\ncaddyauthSession(document.currentScript && document.currentScript.src);\n})();\n")
	moduleScript = newAsset(sessionSource +
		"\nexport const session = caddyauthSession(import.meta.url);\nexport default session;\n")
)

// asset is a file that never changes while the process runs.
type asset struct{ text, etag string }

func newAsset(text string) asset {
	sum := sha256.Sum256([]byte(text))
	return asset{text, `"` + hex.EncodeToString(sum[:16]) + `"`}
}

// SessionScript answers GET and HEAD with the script that keeps a browser session alive, as a
// classic script: `<script src="/session.js" defer></script>`. It finds the routes /session and
// /session/refresh beside its own address, needs no more than `script-src 'self'; connect-src
// 'self'`, and stands in window.caddyauth.session.
//
// Caches may keep it for an hour and ask with its ETag, a hash of the text, afterwards.
func SessionScript(w http.ResponseWriter, r *http.Request) { classicScript.serve(w, r) }

// SessionModule answers like SessionScript with the same code as an ES module, which exports the
// session as `session` and as its default.
func SessionModule(w http.ResponseWriter, r *http.Request) { moduleScript.serve(w, r) }

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("Cache-Control", "public, max-age=3600")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("ETag", a.etag)
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(a.text))
}
