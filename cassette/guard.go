package cassette

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/serge-net/serge-net/cassette/secret"
)

// ErrSecret is wrapped when a secret of the environment would be in a cassette
// though secrets were taken out. Nothing was kept of the recording.
var ErrSecret = errors.New("cassette: a secret of the environment is still in it")

// guarded looks at c as it would be written, with its body files, and refuses it
// if a value of the environment is in it: where no placeholder can stand, such as
// the name of a host or of a field.
func (h *hider) guarded(c *Cassette) error {
	if h == nil {
		return nil
	}
	top, profiles := c.head()
	p := interactionPlace()
	if h.leaks(bytes.NewReader([]byte(top.compact()))) {
		return fmt.Errorf("%w: in the name of a host", ErrSecret)
	}
	for _, i := range c.Interactions {
		shown, err := i.settled()
		if err != nil {
			return err
		}
		n, err := shown.node(profiles, p)
		if err != nil {
			return err
		}
		if h.leaks(bytes.NewReader([]byte(n.compact()))) {
			return fmt.Errorf("%w: in %s, %s", ErrSecret, i.ID, h.text(i.Line()))
		}
		files := shown.bodies()
		for k, b := range i.bodies() {
			if files[k].file == "" {
				continue
			}
			r, err := b.Open()
			if err != nil {
				return err
			}
			leaks := h.leaks(r)
			r.Close()
			if leaks {
				return fmt.Errorf("%w: in a body of %s, %s", ErrSecret, i.ID, i.Line())
			}
		}
	}
	for _, n := range c.dnsNodes(0) {
		if h.leaks(bytes.NewReader([]byte(n.compact()))) {
			return fmt.Errorf("%w: in a DNS answer", ErrSecret)
		}
	}
	return nil
}

// leaks says whether a value of the environment is in what r gives.
func (h *hider) leaks(r io.Reader) bool {
	stream, found := h.set.Stream(), false
	note := func(_ []byte, f *secret.Finding) { found = found || f != nil && f.Class == "env" }
	buf := make([]byte, pieceSize)
	for !found {
		n, err := r.Read(buf)
		stream.Next(buf[:n], err != nil, note)
		if err != nil {
			break
		}
	}
	return found
}

// again goes once more through what was recorded: what was found to be a secret
// late may have passed before. shapes takes those of new placeholders.
func (h *hider) again(is []*Interaction, shapes map[string]string) error {
	if h == nil || !h.set.Learned() {
		return nil
	}
	late := *h
	late.sub = func(class, value string) string {
		m := h.sub(class, value)
		if shapes[m] == "" {
			shapes[m] = shapeOf(value)
		}
		return m
	}
	cl := &cleansing{hide: &late}
	for _, i := range is {
		if err := cl.interaction("", i); err != nil {
			return err
		}
	}
	return nil
}
