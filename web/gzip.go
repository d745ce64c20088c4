package web

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"sync"
)

// zipped returns an asset compressed, made at the first request for it; nil if that makes it no smaller.
func zipped(a *asset) []byte {
	make, _ := zips.LoadOrStore(a.name, sync.OnceValue(func() []byte {
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
		if err == nil {
			_, err = z.Write(a.body)
		}
		if err == nil {
			err = z.Close()
		}
		if err != nil || b.Len() >= len(a.body) {
			return nil
		}
		return b.Bytes()
	}))
	return make.(func() []byte)()
}

var zips sync.Map // by name: func() []byte

// zipMin is the size from which a page is compressed, in bytes.
const zipMin = 1400

var zippers = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is a good one
	return z
}}

// writePage writes a page, compressed if the browser takes that. Pages hold no secret that a stranger's text beside it could be
// used to guess: they carry no tokens.
func writePage(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	h := w.Header()
	h.Add("Vary", "Accept-Encoding")
	if len(body) >= zipMin && acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		w.WriteHeader(status)
		z := zippers.Get().(*gzip.Writer)
		defer zippers.Put(z)
		z.Reset(w)
		_, _ = z.Write(body) // a browser that has gone needs no answer
		_ = z.Close()
		return
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
