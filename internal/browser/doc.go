// Package browser looks at pages as people do: it runs one headless Chromium for a test binary, and gives each test pages of its own.
//
// [Open] returns a [Page], a tab without cookies or storage that others have left. A page is driven by what a person has: an
// address, keys, the mouse; a test waits for what it shows ([Page.Wait]), never for time to pass. Meanwhile the page collects what
// nobody would see: exceptions, errors on the console, breaches of the content security policy, replies of 400 and more, requests to
// anywhere else. A test that ends with such trouble in a page fails, unless it has taken it with [Page.Trouble].
//
// The browser is Debian's package chromium. ./test installs it; without it a test fails in one line that names the package, and is
// skipped if [Variable] is "no", which ./test --no-browser sets. [Main] stops the browser after the tests of a binary; should the
// binary be killed, the kernel ends the browser with it.
//
// No job passes through here; pages that show jobs do.
package browser
