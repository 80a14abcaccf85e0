package redirect

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// The descriptors that init is born with, after the standard three.
const (
	controlFD = 3 + iota // SOCK_SEQPACKET, one message a packet
	planFD               // a plan, gob
	parentFD             // pidfd of the process that started init
	heldFD               // birth.held, if plan.Holds
)

// A plan is what init is told at birth.
type plan struct {
	Private bool   // in a mount namespace of its own
	User    bool   // in a user namespace, with or without the former
	Holds   bool   // there is something to hold
	Placed  bool   // somebody else puts init into the command's cgroup, before it probes
	Waits   bool   // until there are rules, before it probes
	Cgroup  string // init's own directory; the command's is below it. "": there is none
	Outside string // the directory above
	Probe   string
	Traced  bool      // the parent is to be told of each step, and to answer
	Net     *netPlan  // in a network namespace of its own; nil: in ours
	Rules   standing  // what init removes if the parent dies
	Group   bool      // the command is told by a supplementary group, and must keep it
	Keep    *keepPlan // this is a keeper; nil: it is init
}

// What a message between parent and init is.
type kind string

// From the parent: run, with the command and its standard files as
// descriptors, signal, end, of the command, stop, of init too, and placed, with
// the cgroup if init was moved there, which answers waiting.
// To a keeper cover, with descriptors too, which it answers, and stop.
// From init: mounted, connected (with the files of netReady), waiting, probed,
// started, ended (with a file of what was refused). And step, which the parent
// answers by another.
const (
	msgRun     kind = "run"
	msgSignal  kind = "signal"
	msgEnd     kind = "end"
	msgStop    kind = "stop"
	msgPlaced  kind = "placed"
	msgCover   kind = "cover"
	msgMounted kind = "mounted"
	msgNet     kind = "connected"
	msgWaiting kind = "waiting"
	msgProbed  kind = "probed"
	msgStarted kind = "started"
	msgEnded   kind = "ended"
	msgStep    kind = "step"
)

// A message is one packet on the control socket.
type message struct {
	Kind   kind
	Err    string    `json:",omitempty"`
	Denied bool      `json:",omitempty"` // mounted, connected: it is not allowed here
	Net    *netReady `json:",omitempty"` // connected
	PID    int       `json:",omitempty"` // started, step
	Step   Step      `json:",omitempty"` // step
	Cgroup string    `json:",omitempty"` // placed

	Signal int         `json:",omitempty"` // signal
	Group  bool        `json:",omitempty"` // signal: unless the process group got it too
	Status *wireStatus `json:",omitempty"`
}

// wireStatus is an ExitStatus on its way.
type wireStatus struct {
	Code, Signal            int
	NotFound, NotExecutable bool
	Err                     string
}

// A wireCommand is a Command on its way; its files go beside it, and after it,
// in their order, the Data of its mounts.
type wireCommand struct {
	Argv, Env []string
	Dir       string
	Mounts    []Mount // without Data
	Sizes     []int   // of the Data of each, in bytes
	Inherited []int   // the numbers of the files that go beside it after the standard three
}

// sealedCommand returns a file in memory that holds c. What mounts hold is
// megabytes where a host has many trust stores, and is copied but once.
func sealedCommand(c Command, fds []int) (*os.File, error) {
	w := wireCommand{Argv: c.Argv, Env: c.Env, Dir: c.Dir, Mounts: slices.Clone(c.Mounts), Sizes: make([]int, len(c.Mounts)), Inherited: fds}
	for i, m := range c.Mounts {
		w.Mounts[i].Data, w.Sizes[i] = nil, len(m.Data)
	}
	f, err := sealed(w)
	if err != nil {
		return nil, err
	}
	_, err = f.Seek(0, io.SeekEnd)
	for i := 0; i < len(c.Mounts) && err == nil; i++ {
		if data := c.Mounts[i].Data; len(data) > 0 { // hundreds are links
			_, err = f.Write(data)
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// unsealCommand reads the command in f and closes f. The Data of its mounts
// stays where it is, mapped until free.
func unsealCommand(f *os.File) (w wireCommand, free func() error, err error) {
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return w, nil, err
	}
	b, err := unix.Mmap(int(f.Fd()), 0, int(fi.Size()), unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_POPULATE)
	if err != nil {
		return w, nil, fmt.Errorf("map the command: %w", err)
	}
	free = func() error { return unix.Munmap(b) }
	r := bytes.NewReader(b) // a ByteReader: gob reads no further than it must
	if err := gob.NewDecoder(r).Decode(&w); err != nil {
		return w, nil, errors.Join(err, free())
	}
	data := b[len(b)-r.Len():]
	for i, size := range w.Sizes {
		w.Mounts[i].Data, data = data[:size], data[size:]
	}
	return w, free, nil
}

// maxMessage is longer than any message, in bytes; errors in them are cut.
const maxMessage = 8192

// maxFiles is how many files go with a message at most: SCM_MAX_FD, unix(7).
const maxFiles = 253

// maxInherited is how many of them are the command's besides what msgRun has.
const maxInherited = maxFiles - 4

// send writes m, with files as descriptors beside it.
func send(c *net.UnixConn, m message, files ...*os.File) error {
	m.Err = m.Err[:min(len(m.Err), maxMessage/4)]
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	var oob []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			fds[i] = int(f.Fd())
		}
		oob = unix.UnixRights(fds...)
	}
	if _, _, err = c.WriteMsgUnix(b, oob, nil); err != nil {
		return fmt.Errorf("send %s: %w", m.Kind, err)
	}
	return nil
}

// receive reads the next message. The caller owns the files, which are
// close-on-exec. io.EOF says that the other side is gone.
func receive(c *net.UnixConn) (message, []*os.File, error) {
	b, oob := make([]byte, maxMessage), make([]byte, unix.CmsgSpace(maxFiles*4))
	n, oobn, _, _, err := c.ReadMsgUnix(b, oob)
	if err != nil {
		return message{}, nil, err
	}
	if n == 0 {
		return message{}, nil, io.EOF
	}
	var files []*os.File
	if oobn > 0 {
		messages, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil {
			return message{}, nil, err
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil {
			return message{}, nil, err
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "passed"))
		}
	}
	var m message
	return m, files, json.Unmarshal(b[:n], &m)
}

// unixConn is f as a connection; f is closed.
func unixConn(f *os.File) (*net.UnixConn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return c.(*net.UnixConn), nil
}

// sealed returns a file in memory that holds v, to be read from its start.
func sealed(v any) (*os.File, error) {
	fd, err := unix.MemfdCreate("serge-plan", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "serge-plan")
	if err := gob.NewEncoder(f).Encode(v); err != nil {
		f.Close()
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// unseal reads v from f and closes f.
func unseal(f *os.File, v any) error {
	defer f.Close()
	return gob.NewDecoder(f).Decode(v)
}

// holdLinks returns a socket in whose queue copies of links are in flight
// (unix(7), SCM_RIGHTS). Whoever has the socket keeps the hooks attached, with
// one descriptor.
func holdLinks(links []int) (*os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	defer unix.Close(pair[0])
	f := os.NewFile(uintptr(pair[1]), "links")
	if err := unix.Sendmsg(pair[0], []byte{0}, unix.UnixRights(links...), nil, 0); err != nil {
		f.Close()
		return nil, fmt.Errorf("hold the links: %w", err)
	}
	return f, nil
}
