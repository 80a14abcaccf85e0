package certs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// nssPatience bounds what certutil may take. It takes 10 ms in memory, 60 ms
// on a disk, which it has write all it does through.
const nssPatience = 5 * time.Second

// nssFiles are what an NSS database consists of: certificates, keys, and which
// modules to load.
func nssFiles() []string { return []string{"cert9.db", "key4.db", "pkcs11.txt"} }

// An nssCopy is a copy of the user's NSS database, with our CA. Chromium,
// Electron and others read it, and do not use one that they may not write to.
type nssCopy struct {
	dir   string // of the user's, without links
	files []Mount
	err   error
}

// nssCopies makes copies in the background: certutil takes longer than all
// the rest of a plan.
type nssCopies struct {
	making sync.WaitGroup
	copies []*nssCopy
	dir    string // theirs, until they are read
}

// startNSS begins to make copies of the databases that the user has.
func (p *planner) startNSS() {
	dirs := p.resolved([]string{"~/.pki/nssdb", "$XDG_DATA_HOME/pki/nssdb", "~/.local/share/pki/nssdb"})
	if len(dirs) == 0 {
		return
	}
	var err error
	if p.Certutil == "" {
		err = errors.New("there is no certutil to copy it (Debian has it in libnss3-tools)")
	} else if err = os.Mkdir(p.Scratch, 0o700); err == nil {
		p.nss.dir = p.Scratch
	}
	for i, dir := range dirs {
		c := &nssCopy{dir: dir, err: err}
		p.nss.copies = append(p.nss.copies, c)
		if err == nil {
			scratch := filepath.Join(p.nss.dir, strconv.Itoa(i))
			p.nss.making.Go(func() { c.make(p.tree.host(dir), scratch, p.Certutil, p.CA) })
		}
	}
}

// make copies the database in from to the directory scratch, adds ca, and
// reads what has become of it.
func (c *nssCopy) make(from, scratch, certutil string, ca []byte) {
	if c.err = os.Mkdir(scratch, 0o700); c.err != nil {
		return
	}
	isNew := true
	for _, name := range nssFiles() {
		data, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if c.err = errors.Join(err, os.WriteFile(filepath.Join(scratch, name), data, 0o600)); c.err != nil {
			return
		}
		isNew = isNew && name != "cert9.db"
		if name == "pkcs11.txt" { // certutil writes its own directory into it
			c.files = append(c.files, Mount{Path: filepath.Join(c.dir, name), Data: data, Private: true})
		}
	}
	file := filepath.Join(scratch, "ca.pem")
	if c.err = os.WriteFile(file, ca, 0o600); c.err != nil {
		return
	}
	if isNew {
		c.err = run(certutil, "-N", "--empty-password", "-d", "sql:"+scratch)
	}
	if c.err == nil {
		c.err = run(certutil, "-A", "-d", "sql:"+scratch, "-n", alias, "-t", "C,,", "-i", file)
	}
	for _, name := range nssFiles()[:2] {
		data, err := os.ReadFile(filepath.Join(scratch, name))
		if err != nil || c.err != nil {
			c.err = errors.Join(c.err, err)
			return
		}
		c.files = append(c.files, Mount{Path: filepath.Join(c.dir, name), Data: data, Private: true})
	}
}

// run runs a program that asks nothing, and has what it says in its error.
func run(program string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), nssPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.SysProcAttr = withoutTerminal()
	out, err := cmd.CombinedOutput()
	if err != nil {
		said := strings.Join(strings.Fields(string(out)), " ")
		return fmt.Errorf("%s: %w: %s", filepath.Base(program), err, said[:min(len(said), 200)])
	}
	return nil
}

// waitNSS waits for the copies, and removes what they were made in.
func (p *planner) waitNSS() error {
	p.nss.making.Wait()
	if p.nss.dir == "" {
		return nil
	}
	return os.RemoveAll(p.nss.dir)
}

// coverNSS plans the copies over the databases. With quiet, the browsers that
// read them are told by other means, and one that has none is not noted.
func (p *planner) coverNSS(quiet bool) {
	p.nss.making.Wait()
	for _, c := range p.nss.copies {
		switch {
		case c.err == nil:
			p.mounts = append(append(p.mounts, Mount{Path: c.dir, Dir: true, Private: true}), c.files...)
			p.covered = append(p.covered, c.dir)
		case !quiet:
			p.note("%s: %v: browsers that read it do not trust us", c.dir, c.err)
		}
	}
}
