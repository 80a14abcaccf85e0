//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// A file is one of the initramfs.
type file struct {
	path string // without the leading slash
	mode uint32 // of stat(2): type and permissions
	data []byte // of a file, or where a symlink points
	host string // the file of this machine that has the data instead
}

// The types of files, of stat(2).
const (
	typeDir  = 0o040000
	typeFile = 0o100000
	typeLink = 0o120000
	typeChar = 0o020000
)

// fromHost is a program or another file of this machine.
func fromHost(to, host string) file { return file{path: to, mode: typeFile | 0o755, host: host} }

// text is a file that all may read.
func text(to, content string) file {
	return file{path: to, mode: typeFile | 0o644, data: []byte(content)}
}

// symlink is one.
func symlink(from, to string) file { return file{path: from, mode: typeLink | 0o777, data: []byte(to)} }

// writeInitramfs writes files as a cpio archive of the form that the kernel
// unpacks at boot (newc: Documentation/driver-api/early-userspace/buffer-format.rst).
// Missing directories are made. Of two files at one path the first is taken.
func writeInitramfs(name string, files []file) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b := bufio.NewWriterSize(f, 1<<20)
	if err := writeCpio(b, files); err != nil {
		return err
	}
	return b.Flush()
}

// writeCpio writes the archive to w.
func writeCpio(w io.Writer, files []file) error {
	c := &cpio{w: w, seen: make(map[string]bool)}
	for _, f := range files {
		if err := c.add(f); err != nil {
			return fmt.Errorf("add %s to the initramfs: %w", f.path, err)
		}
	}
	return c.entry("TRAILER!!!", 0, nil)
}

// A cpio is an archive being written.
type cpio struct {
	w     io.Writer
	inode int
	seen  map[string]bool
}

// add writes f after the directories that it is in.
func (c *cpio) add(f file) error {
	if c.seen[f.path] {
		return nil
	}
	if dir := path.Dir(f.path); dir != "." {
		if err := c.add(file{path: dir, mode: typeDir | 0o755}); err != nil {
			return err
		}
	}
	c.seen[f.path] = true
	data := f.data
	if f.host != "" {
		var err error
		if data, err = os.ReadFile(f.host); err != nil {
			return err
		}
	}
	return c.entry(f.path, f.mode, data)
}

// consoleMajor and consoleMinor are /dev/console's numbers, the one device that
// an initramfs needs (Documentation/admin-guide/devices.txt).
const consoleMajor, consoleMinor = 5, 1

// entry writes one entry: header, name, data, each padded to four bytes.
func (c *cpio) entry(name string, mode uint32, data []byte) error {
	c.inode++
	major, minor := 0, 0
	if mode&0o170000 == typeChar {
		major, minor = consoleMajor, consoleMinor
	}
	// magic ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
	header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		c.inode, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name)+1, 0)
	pad := func(n int) string { return strings.Repeat("\x00", (4-n%4)%4) }
	head := header + name + "\x00"
	for _, part := range [][]byte{[]byte(head + pad(len(head))), data, []byte(pad(len(data)))} {
		if _, err := c.w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// skeleton are the files of the system that programs expect: the layout of
// Debian's /usr, users, and a resolver that is the origin's.
func skeleton() []file {
	files := []file{
		symlink("bin", "usr/bin"), symlink("sbin", "usr/sbin"), symlink("lib", "usr/lib"), symlink("lib64", "usr/lib64"),
		{path: "dev/console", mode: typeChar | 0o600},
		text("etc/passwd", "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"),
		text("etc/group", "root:x:0:\nuser:x:1000:\nnogroup:x:65534:\n"),
		text("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
		text("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
		text("etc/resolv.conf", "nameserver "+originDNS+"\n"),
		fromHost("etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs/ca-certificates.crt"),
	}
	for _, dir := range []string{"proc", "sys", "dev", "tmp", "run", "root", "var", "home/user"} {
		files = append(files, file{path: dir, mode: typeDir | 0o755})
	}
	return files
}
