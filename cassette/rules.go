package cassette

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// Rules are what somebody accepted of the runs that a cassette is for. They stay
// when it is recorded again.
type Rules struct {
	// Bypass are hosts, addresses, prefixes and ports that pass untouched and
	// unrecorded, as they were accepted: what they mean is the caller's to say.
	Bypass []string
}

// rulesOf reads the member rules, and leaves out what is no text.
func rulesOf(n *node) Rules {
	var r Rules
	for _, k := range n.get("bypass").elements() {
		if k.isString() {
			r.Bypass = append(r.Bypass, unquote(k.tok))
		}
	}
	return r
}

// accept makes r the rules of c. Those that this version does not know stay.
func (c *Cassette) accept(r Rules) {
	c.Rules = r
	old, at := &node{kind: '{'}, slices.IndexFunc(c.extra, func(m member) bool { return m.key == "rules" })
	if at >= 0 && c.extra[at].val.kind == '{' {
		old = c.extra[at].val
	}
	now := old.with("bypass", stringList(r.Bypass))
	if at >= 0 {
		c.extra[at].val = now
		return
	}
	c.extra = append(c.extra, (&node{}).add("rules", now).mem...)
}

// Rules are those of the cassette called name, none if there is no cassette.
// That it is damaged otherwise does not matter here.
func (s *Store) Rules(name string) (Rules, error) {
	if err := checkName(name); err != nil {
		return Rules{}, err
	}
	c, err := s.load(name)
	if errors.Is(err, fs.ErrNotExist) {
		return Rules{}, nil
	}
	if err != nil {
		return Rules{}, err
	}
	return c.Rules, nil
}

// Accept adds rules to those of the cassette called name and tells whether that
// changed it. If there is none, the error is fs.ErrNotExist; while it is being
// recorded, ErrBusy. A recording that was cut off is recovered first.
func (s *Store) Accept(name string, rules Rules) (bool, error) {
	if _, err := s.Load(name); err != nil { // before a journal, which is the lock, is made
		return false, err
	}
	f, err := s.acquire(name, os.O_CREATE)
	if err != nil {
		return false, err
	}
	if _, _, err := s.recover(name, f); err != nil {
		f.Close()
		return false, s.unrecovered(name, err)
	}
	defer s.release(name, f)
	c, err := s.Load(name)
	if err != nil {
		return false, err
	}
	all := c.Rules
	for _, p := range rules.Bypass {
		if !slices.Contains(all.Bypass, p) {
			all.Bypass = append(all.Bypass, p)
		}
	}
	if len(all.Bypass) == len(c.Rules.Bypass) {
		return false, nil
	}
	root, err := s.opened()
	if err != nil {
		return false, err
	}
	c.accept(all)
	if err := (&compaction{root: root, name: name}).commit(c, nil); err != nil {
		return false, fmt.Errorf("write cassette %s: %w", s.Path(name), err)
	}
	return true, nil
}
