package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// browser is a headless Chromium that does what a person does: it looks for words and clicks on them.
type browser struct {
	t   *testing.T
	ctx context.Context
}

const (
	// looked is how long a page may take to show something, on a machine with much else to do.
	looked = 2 * time.Minute
	// imagesVariable makes shots write the documentation's pictures.
	imagesVariable = "PAWL_UPDATE_IMAGES"
	images         = "../docs/images"
)

// newBrowser starts Chromium. Without one the test is skipped, or fails where nothing may be skipped.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	var program string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil && program == "" {
			program = path
		}
	}
	if program == "" {
		const lacks = "no chromium or google-chrome in PATH; run make deps, or install one"
		if os.Getenv("PAWL_TEST_REQUIRE_ALL") != "" {
			t.Fatal(lacks)
		}
		t.Skip("SKIPPED, TEMPORAL'S UI NOT TESTED: " + lacks)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox,
		chromedp.WindowSize(1280, 960), chromedp.WSURLReadTimeout(looked))
	allocator, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx}
	b.do(chromedp.EmulateViewport(1280, 960))
	return b
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, steps...))
}

func (b *browser) open(url string) {
	b.t.Helper()
	b.do(chromedp.Navigate(url))
}

// text is what can be read on the page, also in what is rendered within it, and in fields.
func (b *browser) text() string {
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`(() => {
		const texts = [document.body.innerText]
		for (const f of document.querySelectorAll('iframe')) texts.push(f.contentDocument?.body?.innerText ?? '')
		for (const f of document.querySelectorAll('input')) texts.push(f.value)
		return texts.join('\n')
	})()`))
	if err != nil {
		return err.Error()
	}
	return text
}

// await asks until it is so.
func (b *browser) await(what string, so func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(looked); !so(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.failed()
			b.t.Fatalf("the page does not %s after %s; it says:\n%s", what, looked, b.text())
		}
	}
}

// says reports whether the page says it, in small letters or capitals, and whether or not it is quoted within JSON.
func (b *browser) says(text string) bool {
	return strings.Contains(strings.ToLower(strings.ReplaceAll(b.text(), `\"`, `"`)), strings.ToLower(text))
}

// see waits until the page says all of it.
func (b *browser) see(texts ...string) {
	b.t.Helper()
	for _, text := range texts {
		b.await(fmt.Sprintf("say %q", text), func() bool { return b.says(text) })
	}
}

// click clicks on the first visible thing of a kind (a CSS selector) that says exactly this, or on any of that kind when
// text is "". It does so at once when it is there: a mouse would miss what still moves.
func (b *browser) click(kind, text string) {
	b.t.Helper()
	script := fmt.Sprintf(`(() => {
		for (const e of document.querySelectorAll(%q)) {
			if (e.disabled || !e.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue
			if (%q && e.innerText.trim().split('\n')[0] !== %[2]q) continue
			e.focus()
			e.click()
			return true
		}
		return false
	})()`, kind, text)
	b.await(fmt.Sprintf("offer %s %q", kind, text), func() bool {
		clicked, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](script))
		return err == nil && clicked
	})
}

// fill replaces what stands in a field.
func (b *browser) fill(field, text string) {
	b.t.Helper()
	b.click(field, "")
	_, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`document.execCommand('selectAll')`))
	require.NoError(b.t, err)
	_, err = chromedp.Call(b.ctx, input.InsertText, input.InsertTextParams{Text: text})
	require.NoError(b.t, err)
	_, err = chromedp.Run(b.ctx, chromedp.Evaluate[bool](`document.activeElement.blur(), true`)) // it is formatted now
	require.NoError(b.t, err)
}

// shot writes the page into the documentation, when asked to.
func (b *browser) shot(name string) {
	b.t.Helper()
	if os.Getenv(imagesVariable) == "" {
		return
	}
	b.picture(filepath.Join(images, name+".png"))
}

// failed keeps a picture of a page that is not as it should be, where CI or a person asks for one.
func (b *browser) failed() {
	if dir := os.Getenv("PAWL_TEST_SHOTS"); dir != "" {
		b.picture(filepath.Join(dir, b.t.Name()+".png"))
	}
}

func (b *browser) picture(file string) {
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(file, png, 0o644))
}
