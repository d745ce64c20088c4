package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed templates assets
var files embed.FS

// asset is a file that browsers fetch: it never changes under its address, which holds its hash.
type asset struct {
	name string
	hash string // the first 12 hex digits of its SHA-256
	kind string // its content type
	body []byte
}

var assetKinds = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8",
}

// assets are all files that browsers fetch, by name.
var assets = func() map[string]*asset {
	all := map[string]*asset{}
	entries, err := fs.ReadDir(files, "assets")
	for _, e := range entries {
		var body []byte
		if body, err = files.ReadFile("assets/" + e.Name()); err != nil {
			break
		}
		sum := sha256.Sum256(body)
		all[e.Name()] = &asset{e.Name(), hex.EncodeToString(sum[:6]), assetKinds[path.Ext(e.Name())], body}
	}
	if err != nil { // the files are part of the program
		panic(err)
	}
	return all
}()

// assetURL returns the address of an asset. A name that does not exist is a mistake in a template, which its test finds.
func (s *Server) assetURL(name string) (string, error) {
	a := assets[name]
	if a == nil {
		return "", fmt.Errorf("there is no asset %q", name)
	}
	return s.opts.Prefix + "/assets/" + a.hash + "/" + a.name, nil
}

// serveAsset answers with a file. It is open to all: it tells nothing that is not in the public source.
func (s *Server) serveAsset(w http.ResponseWriter, r *http.Request) {
	a := assets[r.PathValue("name")]
	if a == nil || a.hash != r.PathValue("hash") {
		http.Error(w, "There is no such file: load the page again.", http.StatusNotFound)
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("ETag", `"`+a.hash+`"`)
	if body := zipped(a); body != nil && acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.body))
}

func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		coding, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(coding, "gzip") && strings.ReplaceAll(q, " ", "") != "q=0" {
			return true
		}
	}
	return false
}
