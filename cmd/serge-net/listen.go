package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"

	"github.com/serge-net/serge-net/mitm"
)

// defaultListen is where a proxy listens unless it is told.
const defaultListen = "127.0.0.1:8888"

// A listenAddr is the flag --listen: HOST:PORT, or a port of 127.0.0.1.
type listenAddr struct{ hostPort *string }

// String implements pflag.Value.
func (l listenAddr) String() string {
	if l.hostPort == nil { // pflag asks for a zero value's
		return ""
	}
	return *l.hostPort
}

// Type names the value in the help text.
func (l listenAddr) Type() string { return "HOST:PORT" }

// Set implements pflag.Value.
func (l listenAddr) Set(s string) error {
	host, port := "127.0.0.1", s
	if strings.Contains(s, ":") {
		var err error
		if host, port, err = net.SplitHostPort(s); err != nil {
			return errors.New("not HOST:PORT")
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n > 65535 {
		return errors.New("not HOST:PORT, or a port from 0 to 65535, where 0 is any that is free")
	}
	*l.hostPort = net.JoinHostPort(host, port)
	return nil
}

// listen opens the proxy's port, and says what to do if it cannot.
func listen(ctx context.Context, hostPort string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", hostPort)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, wsaAddrInUse):
		who := ""
		if owner := portOwner(hostPort); owner != "" {
			who = " by " + owner
		}
		return nil, hint(fmt.Errorf("listen on %s: the port is in use%s", hostPort, who),
			"take another: --listen 127.0.0.1:0 is any that is free; proxy_port in serge-net.toml keeps it")
	case errors.Is(err, syscall.EACCES):
		return nil, hint(fmt.Errorf("listen on %s: %w", hostPort, err), "ports below 1024 are the superuser's; take another: --listen %s", defaultListen)
	}
	return nil, hint(fmt.Errorf("listen on %s: %w", hostPort, err), "--listen HOST:PORT names an address of this machine")
}

// wsaAddrInUse is Windows' EADDRINUSE:
// https://learn.microsoft.com/windows/win32/winsock/windows-sockets-error-codes-2
const wsaAddrInUse syscall.Errno = 10048

// notOurselves makes a Dialer's Control, which sees each address that a name
// turned out to have, refuse those at which we listen.
func notOurselves(l net.Addr) func(network, address string, _ syscall.RawConn) error {
	us := l.(*net.TCPAddr).AddrPort()
	return func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil || to.Port() != us.Port() {
			return nil
		}
		if isUs(us.Addr().Unmap(), to.Addr().Unmap()) {
			return mitm.ErrOurselves
		}
		return nil
	}
}

// isUs tells whether what listens at us is reached at to.
func isUs(us, to netip.Addr) bool {
	switch {
	case us == to:
		return true
	case to.IsUnspecified(): // connects to loopback
		return us.IsLoopback() || us.IsUnspecified()
	case !us.IsUnspecified():
		return false
	case to.IsLoopback():
		return true
	}
	local, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range local {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(to.AsSlice()) {
			return true
		}
	}
	return false
}
