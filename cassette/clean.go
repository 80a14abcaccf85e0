package cassette

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// A Stray is a file in a Store's directory that no cassette needs.
type Stray struct {
	Name string // of the cassette beside which it is
	Path string // where it is, for messages
	Size int64  // bytes
	Why  string
	file string // in the directory
}

// Strays lists the body files that no cassette refers to, and the failed
// recordings of cassettes that are gone. What belongs to a cassette that is
// being recorded, was cut off or cannot be read is not looked at.
func (s *Store) Strays() ([]Stray, error) {
	root, err := s.opened()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entries, err := s.List()
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, e := range entries {
		known[e.Name] = true
	}
	var all []Stray
	err = fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p == failedDir:
			found, err := s.failedStrays(root.FS(), known)
			all = append(all, found...)
			return cmp.Or(err, fs.SkipDir)
		case d.IsDir() && p != "." && strings.HasPrefix(path.Base(p), "."):
			return fs.SkipDir
		case d.IsDir() && strings.HasSuffix(p, bodiesEnd):
			found, err := s.strayBodies(strings.TrimSuffix(p, bodiesEnd))
			all = append(all, found...)
			return cmp.Or(err, fs.SkipDir)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for strays in %s: %w", s.dir, err)
	}
	return all, nil
}

// strayBodies are the files beside the cassette called name that it does not
// refer to.
func (s *Store) strayBodies(name string) ([]Stray, error) {
	root, err := s.opened()
	if err != nil {
		return nil, err
	}
	if _, err := root.Lstat(journalName(name)); err == nil {
		return nil, nil // its bodies may be under way
	}
	used, why := map[string]bool{}, "the cassette refers to no such body"
	c, err := s.load(name)
	switch {
	case err == nil:
		used = c.files()
	case errors.Is(err, fs.ErrNotExist):
		why = "there is no cassette " + name
	default:
		return nil, nil
	}
	files, err := fs.ReadDir(root.FS(), name+bodiesEnd)
	var all []Stray
	for _, f := range files {
		if !used[f.Name()] && f.Type().IsRegular() {
			all = append(all, s.stray(name, name+bodiesEnd+"/"+f.Name(), why, f))
		}
	}
	return all, err
}

// failedStrays are the failed recordings of cassettes that are not known.
func (s *Store) failedStrays(fsys fs.FS, known map[string]bool) ([]Stray, error) {
	var all []Stray
	err := fs.WalkDir(fsys, failedDir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name := strings.TrimPrefix(p, failedDir+"/")
		if dir, _ := path.Split(name); strings.HasSuffix(dir, bodiesEnd+"/") {
			name = strings.TrimSuffix(dir, bodiesEnd+"/")
		}
		if cut, _, ok := cutFormat(name); ok {
			name = cut
		}
		if !known[name] {
			all = append(all, s.stray(name, p, "a failed recording, and there is no cassette "+name, d))
		}
		return nil
	})
	return all, err
}

// stray is the file at p.
func (s *Store) stray(name, p, why string, d fs.DirEntry) Stray {
	st := Stray{Name: name, Path: path.Join(s.dir, p), Why: why, file: p}
	if info, err := d.Info(); err == nil {
		st.Size = info.Size()
	}
	return st
}

// Sweep removes strays, of those that Strays listed, which are none any more
// excepted. While a cassette is being recorded its strays stay: the error is
// ErrBusy.
func (s *Store) Sweep(strays []Stray) error {
	root, err := s.opened()
	if err != nil {
		return err
	}
	for _, st := range strays {
		err := s.locked(st.Name, func() error {
			if strings.HasPrefix(st.file, failedDir+"/") {
				return remove(root, st.file)
			}
			c, err := s.load(st.Name)
			if err == nil && c.files()[path.Base(st.file)] || err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return remove(root, st.file)
		})
		if err != nil {
			return fmt.Errorf("remove %s: %w", st.Path, err)
		}
		prune(root, path.Dir(st.file))
		prune(root, path.Dir(st.Name)) // where the lock was
	}
	return nil
}

// remove removes the file at p, if it is there.
func remove(root *os.Root, p string) error {
	if err := root.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// prune removes dir and those that it is in, as long as they are empty. What is
// locked is not.
func prune(root *os.Root, dir string) {
	for ; dir != "."; dir = path.Dir(dir) {
		if root.Remove(dir) != nil {
			return
		}
	}
}

// locked runs f while nobody records the cassette called name. A recording of it
// that was cut off is recovered first.
func (s *Store) locked(name string, f func() error) error {
	release, err := s.quiet(name)
	if err != nil {
		return err
	}
	defer release()
	return f()
}

// Remove removes the cassette called name, with its bodies and what is of it in
// .failed. While it is being recorded the error is ErrBusy; if there is none,
// fs.ErrNotExist.
func (s *Store) Remove(name string) error {
	if err := s.there(name); err != nil {
		return err
	}
	return s.removeAll(name, "")
}

// Forget removes what is of the cassette called name in .failed: a recording
// that did not end well. While it is being recorded the error is ErrBusy.
func (s *Store) Forget(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	return s.removeAll(name, failedDir+"/")
}

// there says whether there is a cassette called name, without reading it.
func (s *Store) there(name string) error {
	entries, err := s.List()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(entries, func(e Entry) bool { return e.Name == name }) {
		return fmt.Errorf("remove cassette %s: %w", s.Path(name), fs.ErrNotExist)
	}
	return nil
}

// removeAll removes the files of the cassette called name below under, and the
// directories that are empty by that.
func (s *Store) removeAll(name, under string) error {
	root, err := s.opened()
	if err != nil {
		return err
	}
	dirs := []string{path.Dir(name)}
	err = s.locked(name, func() error {
		for _, p := range s.Paths(name) {
			p = strings.TrimPrefix(strings.TrimPrefix(p, s.dir), "/")
			info, err := root.Lstat(p)
			if err != nil || info.IsDir() || !strings.HasPrefix(p, under) {
				continue
			}
			if err := remove(root, p); err != nil {
				return err
			}
			dirs = append(dirs, path.Dir(p))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("remove cassette %s: %w", s.Path(name), err)
	}
	for _, d := range slices.Backward(dirs) {
		prune(root, d)
	}
	return nil
}

// Drop removes interactions by their IDs from the cassette called name, with the
// bodies that nothing else refers to, and returns how many there were. While it
// is being recorded the error is ErrBusy; if there is none, fs.ErrNotExist.
func (s *Store) Drop(name string, ids []string) (int, error) {
	dropped := 0
	err := s.change(name, func(c *Cassette) error {
		before := len(c.Interactions)
		c.Interactions = slices.DeleteFunc(c.Interactions, func(i *Interaction) bool { return slices.Contains(ids, i.ID) })
		dropped = before - len(c.Interactions)
		number(c.Interactions, 0)
		return nil
	})
	return dropped, err
}

// change writes the cassette called name as f makes it.
func (s *Store) change(name string, f func(*Cassette) error) error {
	if _, err := s.Load(name); err != nil { // before a journal, which is the lock, is made
		return err
	}
	return s.locked(name, func() error {
		old, err := s.Load(name)
		if err != nil {
			return err
		}
		now := *old
		now.Interactions = slices.Clone(old.Interactions)
		if err := f(&now); err != nil {
			return err
		}
		root, err := s.opened()
		if err != nil {
			return err
		}
		if err := (&compaction{store: s, root: root, of: name, name: name, box: old.box, had: old.files()}).commit(&now); err != nil {
			return fmt.Errorf("write cassette %s: %w", s.Path(name), err)
		}
		return nil
	})
}
