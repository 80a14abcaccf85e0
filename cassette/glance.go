package cassette

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"
)

// A Glance is what can be told of a cassette without making its interactions.
type Glance struct {
	Interactions int       // all kinds of them
	Hosts        []string  // as Cassette.Hosts has them
	RecordedAt   time.Time // zero if the file has none
	Incomplete   bool      // the recording was cut off or its command failed
	Bodies       int64     // how large its bodies folder is, in bytes
}

// Glance looks at the cassette called name. What is in its interactions, beside
// whom they are with, is skipped: that it can be glanced at does not say that it
// can be loaded. If there is none, the error is fs.ErrNotExist.
func (s *Store) Glance(name string) (Glance, error) {
	if err := checkName(name); err != nil {
		return Glance{}, err
	}
	if f, err := s.format(name); err == nil && f == MessagePack {
		return s.glanceTwin(name)
	}
	root, err := s.opened()
	if err != nil {
		return Glance{}, fmt.Errorf("look at cassette %s: %w", s.Path(name), err)
	}
	b, _, err := s.text(root, name)
	if err != nil {
		return Glance{}, fmt.Errorf("look at cassette %w", err)
	}
	g, err := glance(b)
	if err != nil {
		return g, fmt.Errorf("look at cassette %s: %w", s.Path(name), err)
	}
	files, err := fs.ReadDir(root.FS(), name+bodiesEnd)
	if err != nil {
		return g, nil // most have none
	}
	for _, f := range files {
		if info, err := f.Info(); err == nil && info.Mode().IsRegular() {
			g.Bodies += info.Size()
		}
	}
	return g, nil
}

// glance is Glance of the file b.
func glance(b []byte) (Glance, error) {
	var g Glance
	s := skimmer{b: b}
	hosts := map[string]bool{}
	interaction := func() {
		g.Interactions++
		s.within("request", func() {
			s.within("url", func() {
				if url := string(s.scalar()); strings.Contains(url, "://") {
					hosts[hostOf(unquote(url))] = true
				}
			})
		})
	}
	if s.peek() != '{' {
		s.fail()
	}
	s.members(func(key string) {
		switch key {
		case "interactions":
			s.elements(interaction)
		case "recorded_at":
			g.RecordedAt, _ = time.Parse(`"`+time.RFC3339+`"`, string(s.scalar()))
		case "incomplete":
			g.Incomplete = string(s.scalar()) == "true"
		default:
			s.skip()
		}
	})
	g.Hosts = slices.Sorted(maps.Keys(hosts))
	return g, s.err
}

// within calls value at the values of the members called name, and steps over
// the others.
func (s *skimmer) within(name string, value func()) {
	s.members(func(key string) {
		if key == name {
			value()
		} else {
			s.skip()
		}
	})
}
