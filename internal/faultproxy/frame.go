package faultproxy

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

// frame is a message of PostgreSQL's protocol, as it comes: a byte for its kind, four for its length, its body.
type frame []byte

func (f frame) kind() byte   { return f[0] }
func (f frame) body() []byte { return f[5:] }

// frames are the messages that come over a connection.
type frames struct{ *bufio.Reader }

func newFrames(r io.Reader) *frames { return &frames{bufio.NewReaderSize(r, 32<<10)} }

// next waits for a message.
func (r *frames) next() (frame, error) {
	head, err := r.Peek(5)
	if err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(head[1:]) // with its own four bytes
	if length < 4 || length > 1<<30 {
		return nil, errors.New("faultproxy: this is not PostgreSQL's protocol")
	}
	f := make(frame, 1+length)
	_, err = io.ReadFull(r, f)
	return f, err
}
