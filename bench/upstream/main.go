// Command upstream is the application behind the proxy in bench/run.sh: it answers at once, and at
// /headers with the identity headers it received. At /auth it is what forward_auth asks: it looks
// at nothing and says that everybody is alice.
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
	"slices"
	"strings"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:9000", "the address to listen on")
	flag.Parse()
	server := &http.Server{Addr: *listen, Handler: handler(), ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func handler() http.Handler {
	mux := http.NewServeMux()
	body := []byte("hello\n")
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
	mux.HandleFunc("/headers", writeHeaders)
	mux.HandleFunc("/browser/headers", writeHeaders)
	mux.HandleFunc("/auth", writeIdentity)
	return mux
}

func writeHeaders(w http.ResponseWriter, r *http.Request) {
	var lines []string
	for name, values := range r.Header {
		if strings.HasPrefix(name, "X-User-") {
			lines = append(lines, name+": "+strings.Join(values, ", "))
		}
	}
	slices.Sort(lines)
	_, _ = fmt.Fprintln(w, strings.Join(lines, "\n"))
}

func writeIdentity(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("X-User-Id", "alice")
	h.Set("X-User-Role", "admin")
	h.Set("X-User-Email", "alice@example.com")
	h.Set("X-User-Name", "Alice Liddell")
}
