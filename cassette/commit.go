package cassette

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// writeFile makes the file name out of what print prints and has it on the
// disk before it returns. On error there is no such file.
func (c *compaction) writeFile(name string, print func(io.Writer) error) error {
	c.store.step("write " + name)
	f, err := c.root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	err = print(f)
	c.store.step("sync " + name)
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

// step tells a test what s does next with the disk.
func (s *Store) step(what string) {
	if s.at != nil {
		s.at(what)
	}
}

// commit puts out in the place of what is there: a reader sees one or the other,
// whole.
//
// A process that dies on the way leaves one of two things. While the new file
// has its temporary name nothing has happened, and the journal is compacted
// again. Once it has not, the note that was written before tells what is left to
// do, and that the journal is in the cassette: see finish.
func (c *compaction) commit(out *Cassette) error {
	if c.box.format != MessagePack {
		if err := c.land(out); err != nil {
			return err
		}
	}
	return c.commitAs(out, out.each)
}

// land puts the bodies that out has in a twin, in a journal, or with other
// placeholders than in their files, where they stand in the JSON form.
func (c *compaction) land(out *Cassette) error {
	for _, i := range out.Interactions {
		for _, p := range i.parts() {
			if p.Body.open == nil && !p.Body.marked || p.Body.file != "" {
				continue
			}
			if err := c.settleBody(&p.Body, p.fields); err != nil {
				return fmt.Errorf("keep body of %s: %w", i.Request.URL, err)
			}
		}
	}
	return nil
}

// commitAs is commit of out, whose interactions all tells, once for what stands
// before them and once more.
func (c *compaction) commitAs(out *Cassette, all func(func(*Interaction) error) error) error {
	dir := path.Dir(c.name)
	if err := c.root.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	temp := tempName(c.name)
	print := func(w io.Writer) error { return out.writeAll(w, all) }
	pack := func(w io.Writer) error { return c.box.pack(w, print) }
	if c.box.format == MessagePack {
		pack = func(w io.Writer) error { return out.writeTwin(w, false, all) }
	}
	if err := c.writeFile(temp, pack); err != nil {
		return err
	}
	if len(c.made) > 0 {
		syncDir(c.root, c.name+bodiesEnd)
	}
	useless := c.superseded(out)
	err := c.writeFile(noteName(c.of), func(w io.Writer) error { return printNote(w, temp, useless) })
	if err == nil {
		c.store.step("rename " + temp)
		err = c.root.Rename(temp, c.name+c.box.format.end())
	}
	if err != nil {
		_ = c.root.Remove(noteName(c.of))
		_ = c.root.Remove(temp)
		return err
	}
	syncDir(c.root, dir)
	c.made = nil
	c.store.drop(c.root, useless)
	return nil
}

// superseded are the files that are of no use once out is there: the cassette in
// another form, and body files that only the old one refers to, or that were made
// before placeholders in them got other numbers.
func (c *compaction) superseded(out *Cassette) []string {
	var files []string
	for _, f := range c.store.present(c.root, c.name) {
		if f != c.box.format {
			files = append(files, c.name+f.end())
		}
	}
	used := out.files()
	if c.box.format == MessagePack {
		used = nil // it has its own
	}
	names := slices.Sorted(maps.Keys(c.had))
	if out.twin == nil { // else they are of interactions that are read one at a time
		names = append(names, c.made...)
	}
	for _, name := range names {
		if !used[name] {
			files = append(files, c.name+bodiesEnd+"/"+name)
		}
	}
	return append(files, c.name+bodiesEnd) // if it is empty then
}

// drop removes files, as far as that can be: they are in nobody's way.
func (s *Store) drop(root *os.Root, files []string) {
	for _, f := range files {
		if _, err := root.Lstat(f); err != nil {
			continue
		}
		s.step("remove " + f)
		_ = root.Remove(f)
	}
}

// tempName is where the cassette called name is while it is written.
func tempName(name string) string { return hidden(name, ".new") }

// noteName is where the note is of a commit of the cassette called name.
func noteName(name string) string { return hidden(name, ".commit") }

// hidden is a file beside the cassette called name that is not listed.
func hidden(name, end string) string {
	dir, base := path.Split(name)
	return dir + "." + base + end
}

// printNote writes a note: what is about to get its final name, and what is to
// be removed then. One that does not end in "end" was cut.
func printNote(w io.Writer, temp string, useless []string) error {
	b := bufio.NewWriter(w)
	for _, f := range append([]string{temp}, useless...) {
		fmt.Fprintln(b, strconv.Quote(f))
	}
	fmt.Fprintln(b, "end")
	return b.Flush()
}

// readNote reads what printNote wrote of the cassette called name. It is false
// if that was cut, or names what is not of that cassette.
func readNote(text []byte, name string) (temp string, useless []string, ok bool) {
	lines := strings.Split(string(text), "\n")
	if len(lines) < 3 || lines[len(lines)-2] != "end" || lines[len(lines)-1] != "" {
		return "", nil, false
	}
	for i, l := range lines[:len(lines)-2] {
		f, err := strconv.Unquote(l)
		if err != nil || i > 0 && !partOf(f, name) && !partOf(f, failedDir+"/"+name) {
			return "", nil, false
		}
		useless = append(useless, f)
	}
	temp = useless[0]
	return temp, useless[1:], temp == tempName(name) || temp == tempName(failedDir+"/"+name)
}

// partOf tells whether file is one of the cassette called name.
func partOf(file, name string) bool {
	rest, ok := strings.CutPrefix(file, name)
	body, in := strings.CutPrefix(rest, bodiesEnd+"/")
	return ok && (rest == bodiesEnd || in && !strings.Contains(body, "/") || strings.HasPrefix(rest, ".") && slices.Contains(Formats(), Format(rest[1:])))
}

// committed tells whether a process died in a commit of the cassette called name
// after the step that counts, and what it had left to remove.
func (s *Store) committed(root *os.Root, name string) (useless []string, ok bool) {
	text, err := root.ReadFile(noteName(name))
	if err != nil {
		return nil, false
	}
	temp, useless, ok := readNote(text, name)
	if !ok {
		return nil, false
	}
	_, err = root.Lstat(temp)
	return useless, errors.Is(err, fs.ErrNotExist)
}

// finish does what a process that died in a commit of the cassette called name
// had left to do, and tells whether its journal is in the cassette already.
func (s *Store) finish(root *os.Root, name string) bool {
	useless, ok := s.committed(root, name)
	if !ok {
		useless = []string{noteName(name)} // first: without the temporary file it says that all was done
		for _, n := range []string{name, failedDir + "/" + name} {
			useless = append(useless, tempName(n), n+bodiesEnd+"/.new")
		}
	}
	s.drop(root, useless)
	return ok
}

// syncDir has the names in dir on the disk, where directories can be synced.
func syncDir(root *os.Root, dir string) {
	if d, err := root.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
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
