package cassette

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
)

// Prefer says whose interactions stay where two cassettes have the same request.
type Prefer string

// The ways to prefer.
const (
	PreferBoth Prefer = ""    // both, those of the old one first; what is the same is kept once
	PreferOld  Prefer = "old" // those of the old one alone
	PreferNew  Prefer = "new" // those of the new one alone
)

// Merge is what both old and new hold. Requests that are equal in canonical form
// stand behind each other in the order in which they were recorded, as prefer
// says. Rules and DNS answers are united. Neither cassette is to be used any
// more.
func Merge(old, new *Cassette, prefer Prefer) (*Cassette, error) {
	var changes []Change
	groups := map[[32]byte][]*Interaction{}
	for _, o := range old.Interactions {
		groups[o.key.sum] = append(groups[o.key.sum], o)
	}
	m := merger{toOld: map[string]string{}, toNew: map[string]string{}}
	replaced := map[[32]byte]bool{}
	for _, n := range new.Interactions {
		group := groups[n.key.sum]
		same := slices.IndexFunc(group, func(o *Interaction) bool { return m.equal(o, n) })
		switch {
		case same >= 0:
			groups[n.key.sum] = slices.Delete(slices.Clone(group), same, same+1) // it stands for one
			continue
		case prefer == PreferOld && slices.ContainsFunc(old.Interactions, func(o *Interaction) bool { return o.key.sum == n.key.sum }):
			continue
		case prefer == PreferNew:
			replaced[n.key.sum] = true
		}
		changes = append(changes, Change{New: n})
	}
	for sum := range replaced { // what is left in a group differs from all that are new
		for _, o := range groups[sum] {
			changes = append(changes, Change{Old: o})
		}
	}
	out, err := Apply(old, new, changes)
	if err != nil {
		return nil, err
	}
	out.DNS, out.Pins = tidyDNS(append(slices.Clone(new.DNS), old.DNS...)), united(old.Pins, new.Pins)
	out.others = append(slices.Clone(old.others), new.others...)
	all, more := out.Rules.with(new.Rules)
	if more {
		out.extra = slices.Clone(out.extra)
		out.accept(all)
	}
	if new.RecordedAt.After(out.RecordedAt) {
		out.RecordedAt = new.RecordedAt
	}
	return out, nil
}

// united are the pins of olds, and those of news whose names and addresses are
// free.
func united(olds, news []Pin) []Pin {
	out := slices.Clone(olds)
	for _, n := range news {
		if !slices.ContainsFunc(out, func(o Pin) bool {
			return o.Name == n.Name || o.V4.IsValid() && o.V4 == n.V4 || o.V6.IsValid() && o.V6 == n.V6
		}) {
			out = append(out, n)
		}
	}
	return tidyPins(out)
}

// Apply is old with changes made, of which Old is an interaction of old and New
// one of new: what Compare lists, or part of it. What is new and takes nobody's
// place goes to the end. Secrets that both have keep old's numbers, others of new
// get free ones. Neither cassette is to be used any more.
func Apply(old, new *Cassette, changes []Change) (*Cassette, error) {
	var brought []*Interaction
	for _, c := range changes {
		if c.New != nil {
			brought = append(brought, c.New)
		}
	}
	moved, shapes, err := moveIn(old, new, brought)
	if err != nil {
		return nil, fmt.Errorf("take interactions of %s: %w", new.Name, err)
	}
	in, gone, behind := map[*Interaction]*Interaction{}, map[*Interaction]bool{}, []*Interaction{}
	for _, c := range changes {
		var n *Interaction
		if c.New != nil {
			n, moved = moved[0], moved[1:]
		}
		switch {
		case c.Old == nil:
			behind = append(behind, n)
		case n == nil:
			gone[c.Old] = true
		default:
			n.ID = c.Old.ID
			in[c.Old] = n
		}
	}
	out := *old
	out.Interactions, out.shapes = nil, shapes
	for _, o := range old.Interactions {
		switch n := in[o]; {
		case n != nil:
			out.Interactions = append(out.Interactions, n)
		case !gone[o]:
			out.Interactions = append(out.Interactions, o)
		}
	}
	out.Interactions = append(out.Interactions, behind...)
	number(out.Interactions, 0)
	return &out, nil
}

// moveIn is what brought, interactions of new, are in old: with placeholders that
// old has for other secrets replaced. It goes by the text of a cassette, so that
// members which this version does not know are carried too. The shapes are those
// of all secrets.
func moveIn(old, new *Cassette, brought []*Interaction) ([]*Interaction, map[string]string, error) {
	m := acquainted(old, new)
	shapes := maps.Clone(old.shapes)
	if shapes == nil {
		shapes = map[string]string{}
	}
	taken := marksOf(old)
	last := map[string]int{}
	rename := func(mark string) string {
		if m.toOld[mark] == "" {
			class := classOf(mark)
			for last[class]++; taken[placeholder(class, last[class])]; {
				last[class]++
			}
			m.toOld[mark] = placeholder(class, last[class])
			taken[m.toOld[mark]] = true
		}
		if _, known := shapes[m.toOld[mark]]; !known {
			shapes[m.toOld[mark]] = new.shapes[mark]
		}
		return m.toOld[mark]
	}
	part := &Cassette{shapes: map[string]string{}}
	files := map[string]func() (io.ReadCloser, error){}
	for _, i := range brought {
		one := *i
		one.Seq = len(part.Interactions) + 1
		part.Interactions = append(part.Interactions, &one)
		for _, b := range i.bodies() {
			if b.file != "" {
				files[b.file] = b.open
			}
		}
	}
	var text bytes.Buffer
	if err := part.write(&text); err != nil {
		return nil, nil, err
	}
	c, err := parse([]byte(replaceMarks(text.String(), rename)), func(name string) (io.ReadCloser, error) {
		if files[name] == nil {
			return nil, fmt.Errorf("body %s: %w", name, fs.ErrNotExist)
		}
		return files[name]()
	})
	if err != nil {
		return nil, nil, err
	}
	for _, i := range c.Interactions {
		i.renameFiles(rename)
	}
	return c.Interactions, shapes, nil
}

// acquainted is a merger that knows which placeholders of old and new stand for the
// same secrets, as far as interactions that are the same tell.
func acquainted(old, new *Cassette) *merger {
	m := &merger{toOld: map[string]string{}, toNew: map[string]string{}}
	groups := map[[32]byte][]*Interaction{}
	for _, o := range old.Interactions {
		groups[o.key.sum] = append(groups[o.key.sum], o)
	}
	for _, n := range new.Interactions {
		for _, o := range groups[n.key.sum] {
			if m.equal(o, n) {
				break
			}
		}
	}
	return m
}

// marksOf are the placeholders of c.
func marksOf(c *Cassette) map[string]bool {
	taken := map[string]bool{}
	for mark := range c.shapes {
		taken[mark] = true
	}
	for _, i := range c.Interactions {
		i.eachText(func(s string) string {
			_, marks := cutMarks(s)
			for _, m := range marks {
				mark, _ := cutForm(m)
				taken[mark] = true
			}
			return s
		})
	}
	return taken
}

// equal says whether old and n, equal in canonical form, are the same but for what
// varies by nature. If so, their placeholders stand for the same secrets from then
// on.
func (m *merger) equal(old, n *Interaction) bool {
	_, same := m.pick([]*Interaction{old}, []int{0}, n)
	return same
}

// Put makes c the cassette called name, with the bodies that it refers to,
// wherever they are. The one that is there, if there
// is one, is replaced in one step and in its format. While it is being recorded the
// error is ErrBusy.
func (s *Store) Put(name string, c *Cassette) error {
	if err := checkName(name); err != nil {
		return err
	}
	root, err := s.made()
	if err != nil {
		return err
	}
	return s.locked(name, func() error {
		out := *c
		out.Name = name
		k := &compaction{store: s, root: root, of: name, name: name, box: c.box}
		if old, err := s.load(name); err == nil { // what cannot be read is replaced; its bodies stay
			k.box, k.had = old.box, old.files()
		} else if errors.Is(err, ErrKey) || errors.Is(err, ErrForms) {
			return err
		}
		defer k.sweep()
		if err := k.carry(&out); err != nil {
			return err
		}
		if err := k.commit(&out); err != nil {
			return fmt.Errorf("write cassette %s: %w", s.Path(name), err)
		}
		return nil
	})
}
