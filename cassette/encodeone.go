package cassette

import (
	"bufio"
	"io"
)

// Encode writes c in its JSON form, which has one spelling: a Store keeps the
// same bytes. Body files are named, not written.
func (c *Cassette) Encode(w io.Writer) error {
	return c.writeAll(w, func(f func(*Interaction) error) error {
		return c.each(func(i *Interaction) error {
			i, err := i.settled()
			if err != nil {
				return err
			}
			return f(i)
		})
	})
}

// EncodeInteraction writes i, which is one of c's, as it stands in c's JSON form.
func (c *Cassette) EncodeInteraction(w io.Writer, i *Interaction) error {
	_, profiles, err := c.headOf(c.each)
	if err != nil {
		return err
	}
	if i, err = i.settled(); err != nil {
		return err
	}
	n, err := i.node(profiles, interactionPlace())
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	c.layout(out).print(n, elementKey("interactions"), 0)
	out.WriteByte('\n')
	return out.Flush()
}
