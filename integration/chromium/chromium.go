// Package chromium runs a real browser for tests.
package chromium

import (
	"context"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// Programs are the names that the browser may be installed under.
var Programs = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

// Start runs the browser until the test ends, and returns the context of its first tab. It talks to
// nobody but the test's servers, and options are added to its own.
func Start(t *testing.T, program string, more ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1000, 800), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("no-proxy-server", true))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), append(options, more...)...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		defer end()
		patience, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if err := chromedp.Cancel(patience); err != nil { // waits, so that the browser's folder can be removed
			t.Logf("ending the browser: %v", err)
		}
	})
	if err := chromedp.Do(ctx); err != nil { // starts the browser; its context must outlive each step
		t.Fatalf("starting the browser: %v", err)
	}
	return ctx
}
