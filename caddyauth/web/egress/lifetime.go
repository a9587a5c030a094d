package egress

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Lifetime is how long an answer may be kept by its Cache-Control and Age (RFC 9111, sections 4.2
// and 5.2.2), held within shortest and longest. It is usual where the answer does not say.
func Lifetime(h http.Header, shortest, usual, longest time.Duration) time.Duration {
	life := usual
	for _, directive := range strings.Split(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return shortest
		case "max-age":
			if n, err := strconv.Atoi(strings.Trim(value, `"`)); err == nil {
				life = time.Duration(min(n, int(longest/time.Second)+age(h))) * time.Second
			}
		}
	}
	life -= time.Duration(age(h)) * time.Second
	return min(max(life, shortest), longest)
}

// age is the Age of an answer in seconds, zero when absent or absurd.
func age(h http.Header) int {
	n, err := strconv.Atoi(h.Get("Age"))
	if err != nil || n < 0 || n > 1<<30 {
		return 0
	}
	return n
}
