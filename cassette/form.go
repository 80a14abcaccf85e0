package cassette

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
)

const twinEnd = "." + string(MessagePack)

// format is the form that the cassette called name is in. If there is none, the
// error is fs.ErrNotExist; if it is there in two, ErrForms.
func (s *Store) format(name string) (Format, error) {
	root, err := s.opened()
	if err != nil {
		return "", err
	}
	if there := s.present(root, name); len(there) == 1 {
		return there[0], nil
	}
	b, err := s.find(root, name)
	return b.format, err
}

// Mount opens the cassette called name to be played. What Load reads, Mount
// leaves in the file where the cassette is a twin: its Interactions are empty,
// Len says how many there are, and Close lets go of the file. Of a large JSON
// cassette a twin is made in the Store's Cache, for the next time.
func (s *Store) Mount(name string) (*Cassette, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	switch f, _ := s.format(name); f { // Load says what is wrong with it
	case JSON:
		if c, ok := s.mountCached(name); ok {
			return c, nil
		}
		c, err := s.Load(name)
		if err == nil {
			s.keepTwin(name, c)
		}
		return c, err
	case MessagePack:
		return s.mount(name, s.held(name))
	}
	return s.Load(name)
}

// Close lets go of the file that a mounted cassette is in.
func (c *Cassette) Close() error {
	if c.twin == nil {
		return nil
	}
	if f, ok := c.twin.file.(io.Closer); ok {
		return f.Close()
	}
	return nil
}

// around is the cassette called name, of which all but the interactions is
// looked at.
func (s *Store) around(name string) (*Cassette, error) {
	if f, err := s.format(name); err == nil && f == MessagePack {
		return s.mount(name, s.held(name))
	}
	return s.load(name)
}

// held says whether a recorder was cut off that had a journal: it has all that
// it did not commit.
func (s *Store) held(name string) bool {
	root, err := s.opened()
	if err != nil {
		return false
	}
	info, err := root.Stat(journalName(name))
	return err == nil && info.Size() > int64(len(journalMagic))
}

// mount opens the twin called name. held is as openTwin takes it.
func (s *Store) mount(name string, held bool) (*Cassette, error) {
	root, err := s.opened()
	if err != nil {
		return nil, fmt.Errorf("load cassette %s: %w", s.Path(name), err)
	}
	f, err := root.Open(name + twinEnd)
	if err != nil {
		return nil, fmt.Errorf("load cassette %s: %w", s.Path(name), err)
	}
	info, err := f.Stat()
	if err == nil {
		var t *twin
		if t, err = openTwin(f, info.Size(), s.bodies(name), held); err == nil {
			c := t.cassette
			c.twin, c.box = t, box{format: MessagePack}
			if c.Name == "" {
				c.Name = name
			}
			return c, nil
		}
	}
	f.Close()
	return nil, fmt.Errorf("load cassette: %w", inFile(path.Join(s.dir, name+twinEnd), nil, err))
}

// bodies opens files of the bodies folder of the cassette called name.
func (s *Store) bodies(name string) opener {
	return func(file string) (io.ReadCloser, error) {
		root, err := s.opened()
		if err != nil {
			return nil, err
		}
		return s.openBody(root, box{format: JSON}, name+bodiesEnd+"/"+file)
	}
}

// loadTwin reads all of the twin called name but its large bodies. The file is
// open for as long as they can be asked for.
func (s *Store) loadTwin(name string) (*Cassette, error) {
	c, err := s.mount(name, s.held(name))
	if err != nil {
		return nil, err
	}
	if err := c.fill(); err != nil {
		c.Close()
		return nil, fmt.Errorf("load cassette: %w", inFile(path.Join(s.dir, name+twinEnd), nil, err))
	}
	return c, nil
}

// validateTwin is Validate of a twin.
func (s *Store) validateTwin(name string) (int, []Finding, error) {
	c, err := s.mount(name, s.held(name))
	if err != nil {
		return 0, []Finding{{Problem: err.Error()}}, nil
	}
	defer c.Close()
	return c.Len(), c.twin.verify(), nil
}

// glanceTwin is Glance of a twin.
func (s *Store) glanceTwin(name string) (Glance, error) {
	c, err := s.mount(name, s.held(name))
	if err != nil {
		return Glance{}, err
	}
	defer c.Close()
	return Glance{Interactions: c.Len() + len(c.DNS) + len(c.others), Hosts: c.Hosts(), RecordedAt: c.RecordedAt, Incomplete: c.Incomplete}, nil
}

// fill reads all that was mounted.
func (c *Cassette) fill() error {
	if c.twin == nil {
		return nil
	}
	err := c.each(func(i *Interaction) error {
		c.Interactions = append(c.Interactions, i)
		return nil
	})
	c.twin = nil
	return err
}

// writeTwin prints c, the interactions of which all tells, as a twin. outside
// says that files of the bodies folder stay there.
func (c *Cassette) writeTwin(out io.Writer, outside bool, all func(func(*Interaction) error) error) error {
	w := newTwinWriter(out)
	w.outside = outside
	if err := w.begin(c, all); err != nil {
		return err
	}
	if err := all(w.interaction); err != nil {
		return err
	}
	return w.commit()
}

// segmentsMost is how many index segments a twin may have: the next commit
// makes them one. It bounds what a request is looked up in.
const segmentsMost = 8

// extend appends c, which has what stands around the interactions, and news to
// the twin called name, which t is. On error the file is as it was.
func (s *Store) extend(name string, t *twin, c *Cassette, news []*Interaction) error {
	root, err := s.opened()
	if err != nil {
		return err
	}
	f, err := root.OpenFile(name+twinEnd, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err = extend(f, t, c, news); err != nil {
		_ = f.Truncate(t.end)
	}
	return errors.Join(err, f.Close())
}

// extend appends a commit to f, which t is.
func extend(f *os.File, t *twin, c *Cassette, news []*Interaction) error {
	if err := f.Truncate(t.end); err != nil {
		return err
	}
	if _, err := f.Seek(t.end, io.SeekStart); err != nil {
		return err
	}
	w := appendTwin(f, t)
	some := Cassette{Interactions: news}
	if err := w.begin(c, some.each); err != nil {
		return err
	}
	for _, i := range news {
		if err := w.interaction(i); err != nil {
			return err
		}
	}
	if err := w.gather(t); err != nil {
		return err
	}
	if err := w.commit(); err != nil {
		return err
	}
	return f.Sync()
}

// gather makes the entries of t's last sections part of the next commit's, where
// they are in no segment of the file, or not many more than it has: so that there
// are few segments, and an entry is written but a few times.
func (w *twinWriter) gather(t *twin) error {
	if t.sections == nil && t.count > 0 {
		es, err := t.entries()
		if err != nil {
			return err
		}
		s, err := t.indexed(es)
		if err != nil {
			return err
		}
		t.sections = []*section{s}
	}
	left := len(t.sections)
	for ; left > 0; left-- {
		s := t.sections[left-1]
		if s.held == nil && s.n > 4*len(w.entries) && left < segmentsMost {
			break
		}
		if err := w.take(s); err != nil {
			return err
		}
		w.before = s.before
	}
	return nil
}

// take makes the entries of s part of the next commit's.
func (w *twinWriter) take(s *section) error {
	c := cursor{section: s}
	for i := range s.n {
		e, err := c.at(i)
		if err != nil {
			return err
		}
		w.entries = append(w.entries, e)
	}
	return nil
}

// base tells the twin called name as it is from any other: by its last commit. It
// is "" if there is none, or no twin.
func (s *Store) base(name string) string {
	if f, err := s.format(name); err != nil || f != MessagePack {
		return ""
	}
	c, err := s.mount(name, true)
	if err != nil {
		return ""
	}
	defer c.Close()
	return fmt.Sprintf("%d interactions by %d", c.twin.count, c.twin.last)
}

// mend makes the twin called name, which nobody else writes, end where it is
// good, with an index of all that is. It does nothing if it was not cut off.
func (s *Store) mend(name string) error {
	if f, err := s.format(name); err != nil || f != MessagePack {
		return nil
	}
	c, err := s.mount(name, false)
	if err != nil {
		return nil // what reads it says so; what replaces it does not mind
	}
	defer c.Close()
	if !c.twin.torn {
		return nil
	}
	return s.extend(name, c.twin, c, nil)
}
