package integration

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/caddyauth/gateway/integration/documents"
)

// TestSignInPicture takes the picture of the sign-in page that README.md shows; -update stores it.
// The page is the real one. Its public URL has a host that reads well in a picture, and the browser
// reaches it on a free port, as behind a proxy.
func TestSignInPicture(t *testing.T) {
	program := requireBrowser(t)
	g := newGateway(t)
	g.load("auth {\n\tissuer https://app.example.com/auth\n}", "{{url \"auth\"}} {\n\tauth_server\n}")
	const width, height, scale = 480, 460, 1.5
	b := startBrowser(t, program)
	b.do("open the page", chromedp.EmulateViewport(width, height, chromedp.EmulateScale(scale)),
		chromedp.Navigate(g.url("auth")+"/auth/login?next=https://app.example.com/"), chromedp.WaitVisible(
			passwordField,
		))
	picture := ask(b, "taking the picture", chromedp.CaptureScreenshot())

	size, err := png.DecodeConfig(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	if size.Width != width*scale || size.Height != height*scale || len(picture) > 64<<10 {
		t.Errorf("the picture has %d by %d pixels and %d bytes", size.Width, size.Height, len(picture))
	}
	if *documents.Update {
		if err := os.WriteFile(filepath.Join("..", "docs", "images", "sign-in.png"), picture, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
