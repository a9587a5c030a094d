package command

import "testing"

var devices = []struct{ userAgent, want string }{
	{"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox on Linux"},
	{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 " +
			"Safari/537.36",
		"Chrome on Windows",
	},
	{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 " +
			"Safari/537.36 Edg/126.0.2592.87",
		"Edge on Windows",
	},
	{
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 " +
			"Safari/605.1.15",
		"Safari on macOS",
	},
	{
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) " +
			"Version/17.5 Mobile/15E148 Safari/604.1",
		"Safari on iOS",
	},
	{
		"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile " +
			"Safari/537.36",
		"Chrome on Android",
	},
	{
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 " +
			"(KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
		"Chrome on ChromeOS",
	},
	{"curl/8.5.0", "curl 8.5.0"},
	{"python-requests/2.32.3", "python-requests 2.32.3"},
	{"Go-http-client/2.0", "Go-http-client 2.0"},
	{"okhttp/4.12.0 (extra)", "okhttp 4.12.0"},
	{"", ""},
	{"Mozilla/5.0", "Mozilla/5.0"},
	{"Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (X11; Linux x86_64)"},
	{"Mozilla/5.0 (Firefox", "Mozilla/5.0 (Firefox"},
	{"my program", "my program"},
	{"curl/x", "curl/x"},
	{"Mozilla/5.0 (((((;;;;)))) \x00\xff Firefox/", "Mozilla/5.0 (((((;;;;)))) \x00\xff Firefox/"},
}

func TestDevicesAreShownAsBrowsers(t *testing.T) {
	for _, d := range devices {
		t.Run(d.userAgent, func(t *testing.T) {
			if got := describeDevice(d.userAgent); got != d.want {
				t.Errorf("%q, want %q", got, d.want)
			}
		})
	}
}

// FuzzDescribeDevice: whatever a stranger says of himself, the list of sessions can be shown.
func FuzzDescribeDevice(f *testing.F) {
	for _, d := range devices {
		f.Add(d.userAgent)
	}
	f.Fuzz(func(t *testing.T, userAgent string) {
		if got := describeDevice(userAgent); got == "" && userAgent != "" {
			t.Errorf("%q has no name", userAgent)
		}
	})
}
