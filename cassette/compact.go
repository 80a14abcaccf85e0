package cassette

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/serge-net/serge-net/exchange"
)

// Summary is what a recording came to.
type Summary struct {
	Name         string
	Path         string         // where it was written; "" if nothing was
	Interactions int            // in the cassette
	Recorded     int            // in this recording
	Kept         int            // of those in this recording, how many the old cassette had word for word
	Skipped      int            // exchanges of which too little is known to replay them
	Secrets      map[string]int // in the cassette, different ones by class
	Changed      bool           // a file was written; otherwise the old one says the same
	Incomplete   bool
	Doubtful     []*Interaction // of those in this recording: see Interaction.Doubtful
}

// A compaction makes a journal a cassette.
type compaction struct {
	store   *Store
	root    *os.Root        // nil: body files are only named
	of      string          // the cassette whose journal it is
	name    string          // of the target, which may lie in .failed
	box     box             // of the target
	had     map[string]bool // body files that the cassette there refers to
	made    []string        // body files that were not there before
	extends bool            // new records go behind those of a twin
}

// compact writes what t tells. incomplete says that something is missing, or
// that the command failed: then an old complete cassette stays as it is, and
// the new one goes to .failed.
func (s *Store) compact(t *tape, name string, opt RecordOptions, incomplete bool) (Summary, error) {
	sum := Summary{Name: name, Skipped: t.skipped, Incomplete: incomplete}
	root, err := s.made()
	if err != nil {
		return sum, err
	}
	old, exists, err := s.old(name)
	if err != nil {
		return sum, err
	}
	if old != nil {
		defer old.Close()
	}
	if t.meta.append && t.meta.base != "" && t.meta.base != s.base(name) {
		return sum, nil // the journal was compacted before, and only its removal was missed
	}
	c := &compaction{store: s, root: root, of: name, name: name}
	if old, err = c.aim(t, old, exists, incomplete); err != nil {
		return sum, err
	}
	news, err := t.recorded(opt)
	if err != nil {
		return sum, err
	}
	sum.Recorded, sum.Doubtful = len(news), slices.DeleteFunc(slices.Clone(news), func(i *Interaction) bool { return !i.Doubtful() })
	if len(news)+len(t.dns)+len(t.pins) == 0 {
		if old != nil {
			sum.Interactions = old.Len()
		}
		return sum, nil
	}
	defer c.sweep()
	if c.box.format != MessagePack {
		if err := c.settle(news); err != nil {
			return sum, err
		}
	}
	if old != nil && c.name == name {
		c.had = old.files()
	}
	moved := old != nil && (c.name != name || !c.box.same(old.box))
	out, same := combine(t, old, order(news, t.shapes), opt, incomplete, &sum)
	if err := c.last(t, out, &sum); err != nil {
		return sum, err
	}
	if same && !moved {
		return sum, nil
	}
	if c.extends {
		sum.Interactions += old.Len()
		err = s.extend(name, old.twin, out, out.Interactions)
	} else {
		err = c.replace(out, old, moved)
	}
	if err != nil {
		return sum, fmt.Errorf("write cassette %s: %w", c.path(), err)
	}
	sum.Path, sum.Changed = c.path(), true
	return sum, nil
}

// recorded are the interactions of t as opt has them kept.
func (t *tape) recorded(opt RecordOptions) ([]*Interaction, error) {
	news, err := t.interactions()
	if err != nil {
		return nil, err
	}
	for _, i := range news {
		i.trim(opt)
	}
	return news, nameFields(news, opt.Descriptors)
}

// aim decides where c writes and in what form, and returns what of old, which may be
// nil though a file exists, goes into it.
func (c *compaction) aim(t *tape, old *Cassette, exists, incomplete bool) (*Cassette, error) {
	var err error
	if c.box, err = c.store.target(c.root, c.of, t.seal, t.meta.format); err != nil {
		return nil, err
	}
	if incomplete && exists && (old == nil || !old.Incomplete) {
		c.name = failedDir + "/" + c.of
		if !t.meta.append {
			old = nil
		}
	}
	c.extends = t.meta.append && c.name == c.of && old != nil && old.twin != nil && c.box.format == MessagePack
	if old != nil && !c.extends && old.fill() != nil {
		return nil, nil // it counts as there, but not as read
	}
	return old, nil
}

// last looks once more at out before it is written, for secrets that are left.
func (c *compaction) last(t *tape, out *Cassette, sum *Summary) error {
	sum.Interactions, sum.Secrets = len(out.Interactions), out.secretCount()
	return t.guard.guarded(out)
}

// replace commits out, with the bodies that it has of old where that was moved.
func (c *compaction) replace(out, old *Cassette, moved bool) error {
	if moved && c.box.format != MessagePack {
		if err := c.carry(out); err != nil {
			return err
		}
	}
	return c.commit(out)
}

// path is where c writes, for messages.
func (c *compaction) path() string { return path.Join(c.store.dir, c.name+c.box.format.end()) }

// old is the cassette that is there already, and whether a file is. One that
// cannot be read counts as there, but one that may be good is an error: of a
// newer version, one without its key, or in two forms.
func (s *Store) old(name string) (*Cassette, bool, error) {
	load := s.load
	if f, err := s.format(name); err == nil && f == MessagePack {
		load = func(name string) (*Cassette, error) { return s.mount(name, s.held(name)) }
	}
	c, err := load(name)
	switch {
	case err == nil:
		return c, true, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, nil
	case errors.Is(err, ErrVersion), errors.Is(err, ErrKey), errors.Is(err, ErrForms):
		return nil, true, err
	}
	return nil, true, nil
}

// target is the box that a recording of the cassette called name goes to: that
// which is there, but what was recorded under seal stays so.
func (s *Store) target(root *os.Root, name string, seal *sealing, fresh Format) (box, error) {
	b, err := s.find(root, name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && seal == nil:
		return box{format: fresh}, nil
	case errors.Is(err, ErrVersion), errors.Is(err, ErrKey), errors.Is(err, ErrForms):
		return b, err
	case b.seal == nil && (seal != nil || b.format == Encrypted):
		return box{Encrypted, seal}, nil
	}
	return b, nil
}

// combine makes the new cassette out of the old one, which may be nil, and
// news. It says whether the two are the same.
func combine(t *tape, old *Cassette, news []*Interaction, opt RecordOptions, incomplete bool, sum *Summary) (*Cassette, bool) {
	m := &merger{toOld: map[string]string{}, toNew: map[string]string{}}
	c := &Cassette{Name: path.Base(t.meta.name), RecordedAt: t.meta.start, RecordedWith: t.meta.with, Incomplete: incomplete}
	c.Name = t.meta.name
	c.DNS, c.Pins = tidyDNS(t.dns), tidyPins(t.pins)
	var oldShapes map[string]string
	switch {
	case old == nil:
		c.Interactions = news
	case t.meta.append:
		c.Interactions = append(slices.Clone(old.Interactions), news...)
		c.DNS, c.Pins = tidyDNS(append(slices.Clone(old.DNS), t.dns...)), tidyPins(append(slices.Clone(old.Pins), t.pins...))
	case opt.Merge:
		c.Interactions = m.merge(old.Interactions, news, true)
		c.DNS, c.Pins = tidyDNS(append(slices.Clone(old.DNS), t.dns...)), tidyPins(append(slices.Clone(old.Pins), t.pins...))
	case opt.Exact:
		c.Interactions = news
	default:
		c.Interactions = m.merge(old.Interactions, news, false)
	}
	if old != nil {
		oldShapes, c.extra, c.others, c.Rules = old.shapes, old.extra, old.others, old.Rules
		c.profiles, c.asked, c.pinned = old.profiles, old.asked, old.pinned
		c.Name = old.Name
	}
	c.shapes = m.rename(c.Interactions, oldShapes, t.shapes, old != nil && old.twin != nil)
	sum.Kept = m.kept
	if opt.Command != "" && c.Command() == "" {
		c.extra = (&node{mem: c.extra}).with("command", strNode(opt.Command)).mem
	}
	same := old != nil && !opt.Renew && old.Incomplete == incomplete && slices.Equal(old.Interactions, c.Interactions) &&
		slices.EqualFunc(old.DNS, c.DNS, DNS.equal) && slices.Equal(old.Pins, c.Pins)
	before := 0
	if old != nil && old.twin != nil {
		before = old.Len()
	}
	number(c.Interactions, before)
	return c, same
}

// settle moves the bodies that do not stand in the cassette to its bodies
// folder, so that their hashes are known.
func (c *compaction) settle(is []*Interaction) error {
	for _, i := range is {
		for _, p := range i.parts() {
			if err := c.settleBody(&p.Body, p.fields); err != nil {
				return fmt.Errorf("keep body of %s: %w", i.Request.URL, err)
			}
		}
	}
	return nil
}

// trim has i keep no more than opt asks for.
func (i *Interaction) trim(opt RecordOptions) {
	if !opt.Peers {
		i.Peer = Peer{}
	}
	if !opt.Lean {
		return
	}
	i.Request.Body.lean = !covered(0, i.Request.Fields, i.Request.Trailers)
	if r := i.Response; r != nil {
		r.Body.lean = !covered(r.Status, r.Fields, r.Trailers)
	}
}

// carry copies the body files of what out has of other cassettes to where c writes,
// and has out refer to them by the names that they have there.
func (c *compaction) carry(out *Cassette) error {
	kept := map[string]Body{}
	for _, i := range out.Interactions {
		for _, p := range i.parts() {
			b := p.Body
			if _, ok := kept[b.file]; ok || b.file == "" || i.src == nil {
				continue
			}
			_, ext, _ := strings.Cut(b.file, ".")
			if ext == sealedEnd {
				ext = fileEnding(b, p.fields)
			}
			if err := c.keep(&b, ext); err != nil {
				return fmt.Errorf("keep body %s: %w", p.Body.file, err)
			}
			kept[p.Body.file] = b
		}
	}
	for _, i := range out.Interactions {
		if i.src != nil {
			i.refile(kept)
		}
	}
	for n := range out.others {
		out.others[n] = out.others[n].refiled(kept)
	}
	return nil
}

func (c *compaction) settleBody(b *Body, fields []exchange.Field) error {
	if b.Size <= base64Most || b.file != "" && c.root == nil || b.inCall() {
		return nil
	}
	c1 := b.wired(coding(fields))
	var shown []byte
	data, whole, err := b.Whole()
	if err != nil {
		return err
	}
	if whole {
		plain, uncut, ok := decodedPart(data, c1, wholeMost)
		text := utf8.Valid(plain) && !slices.Contains(plain, 0)
		switch {
		case ok && text && (c1 == "" || b.lean && uncut):
			return nil
		case ok && text:
			shown = plain
		}
	}
	if err := c.keep(b, fileEnding(*b, fields)); err != nil {
		return err
	}
	b.plain = shown
	return nil
}

// keep writes b to a file named after its hash and makes b refer to it.
func (c *compaction) keep(b *Body, ext string) error {
	if c.root == nil {
		sum, err := b.Sum()
		if err == nil {
			b.sum, b.file, b.data = sum, sum[:16]+"."+ext, nil
		}
		return err
	}
	folder := c.name + bodiesEnd
	if err := c.root.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	temp := folder + "/.new"
	r, err := b.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	h := sha256.New()
	err = c.writeFile(temp, func(w io.Writer) error {
		return c.box.sealed(w, func(w io.Writer) error {
			_, err := io.Copy(io.MultiWriter(w, h), r)
			return err
		})
	})
	if err != nil {
		return err
	}
	sum := hex.EncodeToString(h.Sum(nil))
	name := sum[:16] + "." + ext
	if c.box.seal != nil {
		name = c.box.seal.bodyName(sum)
	}
	if _, err := c.root.Stat(folder + "/" + name); errors.Is(err, fs.ErrNotExist) {
		c.made = append(c.made, name)
	}
	c.store.step("rename " + temp)
	if err := c.root.Rename(temp, folder+"/"+name); err != nil {
		return err
	}
	s, root, bx := c.store, c.root, c.box
	*b = Body{Size: b.Size, plain: b.plain, marked: b.marked, coding: b.coding, frames: b.frames, file: name, sum: sum, open: func() (io.ReadCloser, error) { return s.openBody(root, bx, folder+"/"+name) }}
	return nil
}
