package browser

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestApplicationsCannotSetTheGatewaysCookies(t *testing.T) {
	theirs := []string{
		"__Host-access_token=evil; Path=/; Secure", "theirs=1", " __Host-access_token = evil",
		"=__Host-access_token=evil", "__Host-access_token", "access_token=fine", "__Host-access_token2=fine",
		"__HOST-access_token=evil", "__host-Refresh_Token=evil", "=__hOST-ACCESS_TOKEN=evil",
		"__Host-__Host-access_token=fine",
		"__Host-sign_in_mlkzpx8aabcdef=evil", "__HOST-Sign_In_mlkzpx8aabcdef=evil", "=__host-sign_in_x=evil",
		"sign_in_mlkzpx8aabcdef=evil", "__Host-sign_ins=evil", "sign_ins=evil", "__Host-sign_in_=evil",
		"sign_in_count=fine", "sign_in=fine", "sign_ins2=fine", "sign_in_mlkzpx8a-abcdef=fine",
	}
	want := []string{
		"theirs=1", "__Host-access_token2=fine", "__Host-__Host-access_token=fine",
		"sign_in_count=fine", "sign_in=fine", "sign_ins2=fine", "sign_in_mlkzpx8a-abcdef=fine",
	}
	for _, c := range []struct {
		name string
		send func(w http.ResponseWriter)
	}{
		{"header", func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) }},
		{"body", func(w http.ResponseWriter) { _, _ = w.Write([]byte("x")) }},
		{"copy", func(w http.ResponseWriter) { _, _ = w.(*Response).ReadFrom(strings.NewReader("x")) }},
		{"flush", func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			recorder := httptest.NewRecorder()
			w := Guard(recorder, nil)
			w.Header()["Set-Cookie"] = slices.Clone(theirs)
			c.send(w)
			if got := recorder.Result().Header["Set-Cookie"]; !slices.Equal(got, want) {
				t.Errorf("%s: the browser gets %q, want %q", c.name, got, want)
			}
		})
	}
}

func TestTheGatewaysCookiesGoOutWithTheFinalAnswerAndAreNotCached(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(plain http.ResponseWriter, _ *http.Request) {
		w := Guard(plain, nil)
		if again := Guard(w, nil); again != w {
			t.Error("guarded twice")
		}
		w.SetCookies([]*http.Cookie{
			{Name: "__Host-access_token", Path: "/", MaxAge: -1},
			{Name: "__Host-refresh_token", Path: "/", MaxAge: -1},
		})
		w.Header().Set("Cache-Control", "public, max-age=60")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusOK)
	}))
	defer server.Close()
	answer, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if got := answer.Header["Set-Cookie"]; len(got) != 2 || !strings.HasPrefix(got[0], "__Host-access_token=;") {
		t.Errorf("the browser gets %q", got)
	}
	if got := answer.Header.Get("Cache-Control"); got != "private, no-store" {
		t.Errorf("Cache-Control %q", got)
	}
}
