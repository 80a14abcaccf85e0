package cassette

import (
	"io"
	"net/netip"
	"os"
	"path"
	"slices"
	"strings"
)

// writeFile makes the file name out of what print prints and has it on the
// disk before it returns. On error there is no such file.
func (c *compaction) writeFile(name string, print func(io.Writer) error) error {
	f, err := c.root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	err = print(f)
	if err == nil {
		err = f.Sync()
	}
	if err2 := f.Close(); err == nil {
		err = err2
	}
	if err != nil {
		_ = c.root.Remove(name)
	}
	return err
}

// commit puts out in the place of old, which may be nil: a reader sees one or
// the other, whole.
func (c *compaction) commit(out, old *Cassette) error {
	dir, base := path.Split(c.name)
	if dir != "" {
		if err := c.root.MkdirAll(path.Clean(dir), 0o755); err != nil {
			return err
		}
	}
	temp := dir + "." + base + ".new"
	if err := c.writeFile(temp, out.write); err != nil {
		return err
	}
	if err := c.root.Rename(temp, c.name+fileEnd); err != nil {
		_ = c.root.Remove(temp)
		return err
	}
	c.syncDir(dir)
	c.made = nil
	c.forget(old, out)
	return nil
}

// syncDir has the rename on the disk, where directories can be synced.
func (c *compaction) syncDir(dir string) {
	if d, err := c.root.Open(path.Clean(dir)); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}

// forget removes the body files that old referred to and out does not.
func (c *compaction) forget(old, out *Cassette) {
	if old == nil || strings.HasPrefix(c.name, failedDir) {
		return
	}
	used := out.files()
	for name := range old.files() {
		if !used[name] {
			_ = c.root.Remove(c.name + bodiesEnd + "/" + name)
		}
	}
	_ = c.root.Remove(c.name + bodiesEnd) // if it is empty now
}

// sweep removes the body files that were made for a cassette that was not written.
func (c *compaction) sweep() {
	for _, name := range c.made {
		_ = c.root.Remove(c.name + bodiesEnd + "/" + name)
	}
	if len(c.made) > 0 {
		_ = c.root.Remove(c.name + bodiesEnd)
	}
}

// files are the names in the bodies folder that c refers to.
func (c *Cassette) files() map[string]bool {
	out := map[string]bool{}
	for _, i := range c.Interactions {
		for _, b := range i.bodies() {
			if b.file != "" {
				out[b.file] = true
			}
		}
	}
	return out
}

// question is what d answers.
func (d DNS) question() string { return d.Name + " " + d.Type }

func (d DNS) equal(o DNS) bool {
	return d.Name == o.Name && d.Type == o.Type && d.Rcode == o.Rcode && slices.Equal(d.Answers, o.Answers) &&
		slices.Equal(d.Authority, o.Authority) && slices.Equal(d.Additional, o.Additional)
}

// tidyDNS is ds by name and type, the last answer of each: resolvers ask in
// any order and again and again.
func tidyDNS(ds []DNS) []DNS {
	var out []DNS
	for _, d := range slices.Backward(ds) {
		d.Name = strings.ToLower(d.Name)
		if !slices.ContainsFunc(out, func(o DNS) bool { return o.Name == d.Name && o.Type == d.Type }) {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b DNS) int { return strings.Compare(a.Name+" "+a.Type, b.Name+" "+b.Type) })
	return out
}

// tidyPins is ps by name, one each, with all addresses that it was given.
func tidyPins(ps []Pin) []Pin {
	var out []Pin
	for _, p := range ps {
		p.Name = strings.ToLower(p.Name)
		n := slices.IndexFunc(out, func(o Pin) bool { return o.Name == p.Name })
		if n < 0 {
			out = append(out, p)
			continue
		}
		out[n].V4, out[n].V6 = laterAddr(out[n].V4, p.V4), laterAddr(out[n].V6, p.V6)
	}
	slices.SortFunc(out, func(a, b Pin) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func laterAddr(a, b netip.Addr) netip.Addr {
	if b.IsValid() {
		return b
	}
	return a
}
