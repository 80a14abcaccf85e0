package cassette

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// Convert writes the cassette called name in format to, with its bodies, as out,
// which may be name: then the file of the old format goes in the step in which
// the new one comes. Nothing is lost on the way. done is told how many
// interactions are written of how many. The result is false if it is in that
// format already. A recording that was cut off is recovered first.
//
// If there is none, the error is fs.ErrNotExist; while either is being recorded,
// ErrBusy; if out is another that exists, fs.ErrExist; without the key that is
// needed, ErrKey.
func (s *Store) Convert(name, out string, to Format, done func(n, of int)) (bool, error) {
	if !slices.Contains(Formats(), to) {
		return false, fmt.Errorf("convert %s: %q is none of %q", name, to, Formats())
	}
	if err := checkName(out); err != nil {
		return false, err
	}
	release, err := s.still(name)
	if err != nil {
		return false, err
	}
	defer release()
	if out != name {
		release, err := s.quiet(out)
		if err != nil {
			return false, err
		}
		defer release()
		if root, err := s.opened(); err != nil || len(s.present(root, out)) > 0 {
			return false, errors.Join(fmt.Errorf("convert %s: %s: %w", name, s.Path(out), fs.ErrExist), err)
		}
	}
	c, err := s.Mount(name)
	if err != nil {
		return false, err
	}
	defer c.Close()
	if name == out && c.box.format == to {
		return false, nil
	}
	if err := s.convert(c, name, out, to, done); err != nil {
		return false, fmt.Errorf("convert %s to %s: %w", s.Path(name), to, err)
	}
	return true, nil
}

// still is quiet of a cassette that there is: if there is none, or it cannot be
// read, that is the error, and no journal, which is the lock, was made.
func (s *Store) still(name string) (release func(), err error) {
	there, err := s.Mount(name)
	if err != nil {
		return nil, err
	}
	if err := there.Close(); err != nil {
		return nil, err
	}
	return s.quiet(name)
}

// quiet keeps recorders from the cassette called name until release is called.
// A recording that was cut off is recovered first.
func (s *Store) quiet(name string) (release func(), err error) {
	f, err := s.acquire(name, os.O_CREATE)
	if err != nil {
		return nil, err
	}
	if _, _, err := s.recover(name, f); err != nil {
		f.Close()
		return nil, s.unrecovered(name, err)
	}
	return func() { s.release(name, f) }, nil
}

// convert is Convert of c, once nothing is in the way.
func (s *Store) convert(c *Cassette, name, out string, to Format, done func(n, of int)) (err error) {
	root, err := s.opened()
	if err != nil {
		return err
	}
	w := &compaction{store: s, root: root, of: out, name: out, box: box{format: to}}
	if to == Encrypted {
		if w.box.seal, err = s.key.fresh(); err != nil {
			return err
		}
	}
	defer w.sweep()
	if name == out {
		w.had = c.files()
	}
	prepare := func(*Interaction) error { return nil }
	switch {
	case to == MessagePack:
	case c.twin != nil:
		prepare = func(i *Interaction) error { return w.settle([]*Interaction{i}) }
	case name != out || (c.box.seal == nil) != (w.box.seal == nil):
		if err := w.carry(c); err != nil {
			return err
		}
	}
	n := 0
	return w.commitAs(c, func(f func(*Interaction) error) error {
		return c.each(func(i *Interaction) error {
			if n++; n > c.Len() { // the first round is for the head
				if err := prepare(i); err != nil {
					return fmt.Errorf("interaction %s: %w", i.ID, err)
				}
				done(n-c.Len(), c.Len())
			}
			return f(i)
		})
	})
}

// Plain is the JSON in file, the content of a cassette in any format, as git's
// textconv wants it. If file is encrypted and k is not its key, or nil, the error
// is ErrKey. What the JSON says is not looked at.
func Plain(file []byte, k *Key) ([]byte, error) { return k.unpack(file) }
