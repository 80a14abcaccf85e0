package redirect

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// A netClient asks init for what can only be done inside. It is safe for
// concurrent use.
type netClient struct {
	ctl *net.UnixConn

	mu sync.Mutex // held over a request and its answer
}

// ask returns the file that comes with the answer, nil if none does.
func (c *netClient) ask(req netRequest) (*os.File, error) {
	b, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.ctl.Write(b); err != nil {
		return nil, fmt.Errorf("ask init: %w", err)
	}
	b = make([]byte, maxNetRequest)
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := c.ctl.ReadMsgUnix(b, oob)
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return nil, fmt.Errorf("ask init: %w", err)
	}
	f := passedFile(oob[:oobn])
	var a netAnswer
	if err := json.Unmarshal(b[:n], &a); err != nil {
		return f, err
	}
	if a.Err != "" {
		return f, errors.New("init: " + a.Err)
	}
	return f, nil
}

// passedFile is the first file in a control message, nil if there is none.
func passedFile(oob []byte) *os.File {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) == 0 {
		return nil
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return nil
	}
	return os.NewFile(uintptr(fds[0]), "passed")
}

// refused returns what was refused inside.
func (c *netClient) refused() ([]Escape, error) {
	f, err := c.ask(netRequest{Refused: true})
	if err != nil || f == nil {
		return nil, err
	}
	var found []Escape
	return found, unseal(f, &found)
}

// maxPorts is how many ports a netRequest has at most, so that it fits
// maxNetRequest.
const maxPorts = 2000

// edit changes the ports of the host that are passed on.
func (c *netClient) edit(v6 bool, add, remove []uint16) error {
	for len(add)+len(remove) > 0 {
		a, r := min(len(add), maxPorts), min(len(remove), maxPorts)
		if _, err := c.ask(netRequest{V6: v6, Add: add[:a], Remove: remove[:r]}); err != nil {
			return err
		}
		add, remove = add[a:], remove[r:]
	}
	return nil
}

// dial connects to a server inside, at dst on loopback.
func (c *netClient) dial(dst netip.AddrPort) (*net.TCPConn, error) {
	f, err := c.ask(netRequest{Socket: true, V6: dst.Addr().Is6()})
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fd := int(f.Fd())
	var to unix.Sockaddr = &unix.SockaddrInet6{Port: int(dst.Port()), Addr: dst.Addr().As16()}
	if dst.Addr().Is4() {
		to = &unix.SockaddrInet4{Port: int(dst.Port()), Addr: dst.Addr().As4()}
	}
	// It is a blocking one: on loopback connect has nothing to wait for.
	if err := unix.Connect(fd, to); err != nil {
		return nil, os.NewSyscallError("connect", err)
	}
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}
