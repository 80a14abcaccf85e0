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
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/serge-net/serge-net/exchange"
)

// Summary is what a recording came to.
type Summary struct {
	Name         string
	Path         string // where it was written; "" if nothing was
	Interactions int    // in the cassette
	Recorded     int    // in this recording
	Kept         int    // of those in this recording, how many the old cassette had word for word
	Skipped      int    // exchanges of which too little is known to replay them
	Changed      bool   // a file was written; otherwise the old one says the same
	Incomplete   bool
	Doubtful     []*Interaction // of those in this recording: see Interaction.Doubtful
}

// A compaction makes a journal a cassette.
type compaction struct {
	root *os.Root
	name string   // of the target, which may lie in .failed
	made []string // body files that were not there before
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
	if t.meta.append && t.meta.base != "" && t.meta.base != s.base(name) {
		return sum, nil // the journal was compacted before, and only its removal was missed
	}
	c := &compaction{root: root, name: name}
	if incomplete && exists && (old == nil || !old.Incomplete) {
		c.name = failedDir + "/" + name
		if !t.meta.append {
			old = nil
		}
	}
	news, err := t.interactions()
	if err != nil {
		return sum, err
	}
	sum.Recorded = len(news)
	sum.Doubtful = slices.DeleteFunc(slices.Clone(news), func(i *Interaction) bool { return !i.Doubtful() })
	if len(news)+len(t.dns)+len(t.pins) == 0 {
		if old != nil {
			sum.Interactions = len(old.Interactions)
		}
		return sum, nil
	}
	defer c.sweep()
	if err := c.settle(news); err != nil {
		return sum, err
	}
	if old != nil && c.name != name {
		if err := c.carry(old); err != nil {
			return sum, err
		}
	}
	out, same := combine(t, old, order(news, t.shapes), opt, incomplete, &sum)
	sum.Interactions = len(out.Interactions)
	if same && c.name == name {
		return sum, nil
	}
	if err := c.commit(out, old); err != nil {
		return sum, fmt.Errorf("write cassette %s: %w", s.Path(c.name), err)
	}
	sum.Path, sum.Changed = s.Path(c.name), true
	return sum, nil
}

// old is the cassette that is there already, and whether a file is. One that
// cannot be read counts as there, but one of a newer version is an error.
func (s *Store) old(name string) (*Cassette, bool, error) {
	c, err := s.load(name)
	switch {
	case err == nil:
		return c, true, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, nil
	case errors.Is(err, ErrVersion):
		return nil, true, err
	}
	return nil, true, nil
}

// base is the sha256 of the cassette's file as it is, "" if there is none.
func (s *Store) base(name string) string {
	root, err := s.opened()
	if err != nil {
		return ""
	}
	b, err := root.ReadFile(name + fileEnd)
	if err != nil {
		return ""
	}
	return sumOf(b)
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
		c.Name = old.Name
	}
	c.shapes = m.rename(c.Interactions, oldShapes, t.shapes)
	sum.Kept = m.kept
	if opt.Command != "" && c.Command() == "" {
		c.extra = (&node{mem: c.extra}).with("command", strNode(opt.Command)).mem
	}
	same := old != nil && !opt.Renew && old.Incomplete == incomplete && slices.Equal(old.Interactions, c.Interactions) &&
		slices.EqualFunc(old.DNS, c.DNS, DNS.equal) && slices.Equal(old.Pins, c.Pins)
	number(c.Interactions)
	return c, same
}

// number gives every interaction its place and, where it has none, a label.
func number(is []*Interaction) {
	taken := map[string]bool{}
	for n, i := range is {
		i.Seq = n + 1
		if taken[i.ID] {
			i.ID = ""
		}
		taken[i.ID] = true
	}
	last := map[string]int{} // number given, by stem
	for _, i := range is {
		if i.ID != "" {
			continue
		}
		stem := i.stem()
		for last[stem]++; taken[stem+strconv.Itoa(last[stem])]; {
			last[stem]++
		}
		i.ID = stem + strconv.Itoa(last[stem])
		taken[i.ID] = true
	}
}

// stem is i's label without its number: method, last path segment, hash.
func (i *Interaction) stem() string {
	segment := i.key.route[strings.LastIndexByte(i.key.route, '/')+1:]
	segment = strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (unreserved(byte(r)) && r != '.' && r != '~') {
			return r
		}
		return -1
	}, segment)
	parts := []string{strings.ToLower(i.Request.Method)}
	if segment != "" {
		parts = append(parts, segment[:min(len(segment), 24)])
	}
	return strings.Join(append(parts, hex.EncodeToString(i.key.sum[:2])), "-") + "."
}

// settle moves the bodies that do not stand in the cassette to its bodies
// folder, so that their hashes are known.
func (c *compaction) settle(is []*Interaction) error {
	for _, i := range is {
		ms := []*Message{&i.Request.Message}
		fs := [][]exchange.Field{i.Request.Fields}
		if i.Response != nil {
			ms, fs = append(ms, &i.Response.Message), append(fs, i.Response.Fields)
		}
		for n := range i.Upgraded {
			ms, fs = append(ms, &i.Upgraded[n]), append(fs, nil)
		}
		for n, m := range ms {
			if err := c.settleBody(&m.Body, fs[n]); err != nil {
				return fmt.Errorf("keep body of %s: %w", i.Request.URL, err)
			}
		}
	}
	return nil
}

// carry copies the body files of old to where c writes.
func (c *compaction) carry(old *Cassette) error {
	for _, i := range old.Interactions {
		for _, b := range i.bodies() {
			if b.file == "" {
				continue
			}
			if err := c.store(&b, strings.TrimPrefix(path.Ext(b.file), "."), nil); err != nil {
				return fmt.Errorf("keep body %s: %w", b.file, err)
			}
		}
	}
	return nil
}

func (c *compaction) settleBody(b *Body, fields []exchange.Field) error {
	if b.Size <= base64Most {
		return nil
	}
	keep := []byte(nil) // what a view shows beside the file
	if b.Size <= wholeMost {
		plain, ok := decoded(b.data, coding(fields))
		text := utf8.Valid(plain) && !slices.Contains(plain, 0)
		switch {
		case ok && text && coding(fields) == "":
			return nil
		case ok && text:
			keep = b.data
		}
	}
	ct, _ := exchange.Get(fields, "content-type")
	return c.store(b, extension(ct), keep)
}

// store writes b to a file named after its hash and makes b refer to it.
func (c *compaction) store(b *Body, ext string, keep []byte) error {
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
		_, err := io.Copy(io.MultiWriter(w, h), r)
		return err
	})
	if err != nil {
		return err
	}
	sum := hex.EncodeToString(h.Sum(nil))
	name := sum[:16] + "." + ext
	if _, err := c.root.Stat(folder + "/" + name); errors.Is(err, fs.ErrNotExist) {
		c.made = append(c.made, name)
	}
	if err := c.root.Rename(temp, folder+"/"+name); err != nil {
		return err
	}
	root := c.root
	*b = Body{Size: b.Size, data: keep, file: name, sum: sum, open: func() (io.ReadCloser, error) { return root.Open(folder + "/" + name) }}
	return nil
}
