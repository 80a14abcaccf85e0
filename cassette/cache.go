package cassette

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	// cacheLeast is how large a JSON cassette is, in bytes, for a twin of it to be
	// kept in the cache: smaller ones are parsed in a tenth of a second.
	cacheLeast = 8 << 20
	// cacheMost is how many twins the cache has.
	cacheMost = 8
)

// mountCached mounts the JSON cassette called name from its twin in the cache,
// and makes that if it is not there. It is false if there is no twin.
func (s *Store) mountCached(name string) (*Cassette, bool) {
	root, err := s.opened()
	if err != nil || s.Cache == "" {
		return nil, false
	}
	f, err := root.Open(name + JSON.end())
	if err != nil {
		return nil, false
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() < cacheLeast {
		return nil, false
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return nil, false
	}
	path := filepath.Join(s.Cache, hex.EncodeToString(sum.Sum(nil))+twinEnd)
	c, err := s.mountTwinOf(name, path)
	if err != nil {
		return nil, false
	}
	now := time.Now()
	_ = os.Chtimes(path, now, now)
	return c, true
}

// mountTwinOf mounts the twin at path, of the JSON cassette called name, unless a
// file of its bodies folder is not what it was.
func (s *Store) mountTwinOf(name, path string) (*Cassette, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	var t *twin
	if err == nil {
		t, err = openTwin(f, info.Size(), s.bodies(name), false)
	}
	if err == nil && (t.torn || t.sections == nil) {
		err = errNoCommit
	}
	if err == nil {
		err = s.checkOutside(name, t)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	c := t.cassette
	c.twin, c.Name, c.box = t, cmp.Or(c.Name, name), box{format: JSON}
	return c, nil
}

// checkOutside says which file of the bodies folder of the cassette called name
// t refers to that is not there, or is of another size.
func (s *Store) checkOutside(name string, t *twin) error {
	root, err := s.opened()
	if err != nil {
		return err
	}
	for _, m := range t.outside.members() {
		info, err := root.Stat(name + bodiesEnd + "/" + m.key)
		if err == nil && info.Size() != numberOf(m.val) {
			err = errTorn
		}
		if err != nil {
			return fmt.Errorf("body file %s: %w", m.key, err)
		}
	}
	return nil
}

// keepTwin puts a twin of c, which was read from the JSON file of the cassette
// called name, into the cache, for the next time. That it cannot be is no error.
func (s *Store) keepTwin(name string, c *Cassette) {
	root, err := s.opened()
	if err != nil || s.Cache == "" {
		return
	}
	b, err := root.ReadFile(name + JSON.end())
	if err != nil || len(b) < cacheLeast || os.MkdirAll(s.Cache, 0o700) != nil {
		return
	}
	f, err := os.CreateTemp(s.Cache, ".new-*")
	if err != nil {
		return
	}
	defer os.Remove(f.Name())
	err = c.writeTwin(f, true, c.each)
	if err2 := f.Close(); err != nil || err2 != nil {
		return
	}
	if os.Rename(f.Name(), filepath.Join(s.Cache, sumOf(b)+twinEnd)) == nil {
		s.trimCache()
	}
}

// trimCache removes the twins from the cache that were used longest ago.
func (s *Store) trimCache() {
	paths, _ := filepath.Glob(filepath.Join(s.Cache, "*"+twinEnd))
	used := map[string]fs.FileInfo{}
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil {
			used[p] = info
		}
	}
	paths = slices.DeleteFunc(paths, func(p string) bool { return used[p] == nil })
	slices.SortFunc(paths, func(a, b string) int { return used[b].ModTime().Compare(used[a].ModTime()) })
	for _, p := range paths[min(len(paths), cacheMost):] {
		_ = os.Remove(p)
	}
}
