package testnet

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
)

// rack holds the servers that run inside the test process, until close.
type rack struct {
	ca      *CA
	hits    *tally
	queries *tally

	// listen and listenPacket open sockets on the small internet.
	listen       func(network, addr string) (net.Listener, error)
	listenPacket func(network, addr string) (net.PacketConn, error)

	running sync.WaitGroup // every goroutine that serves

	mu      sync.Mutex
	closed  bool
	conns   map[net.Conn]bool
	closers []func()
}

// serveAll starts every server. After an error the caller still closes r.
func (r *rack) serveAll() error {
	for _, start := range []func() error{r.startWeb, r.startOdd, r.startTCP, r.startUDP, r.startDNS} {
		if err := start(); err != nil {
			return err
		}
	}
	return nil
}

// close ends every server and every connection, and waits for their goroutines.
func (r *rack) close() {
	r.mu.Lock()
	r.closed = true
	closers := r.closers
	r.closers = nil
	for c := range r.conns {
		_ = c.Close() // its server may have closed it already
	}
	r.mu.Unlock()
	for _, f := range slices.Backward(closers) {
		f()
	}
	r.running.Wait()
}

// onClose makes close call f.
func (r *rack) onClose(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closers = append(r.closers, f)
}

// hold makes close close c as well, and returns what lets go of it. It is false when r is closed.
func (r *rack) hold(c net.Conn) (release func(), ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, false
	}
	if r.conns == nil {
		r.conns = make(map[net.Conn]bool)
	}
	r.conns[c] = true
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.conns, c)
	}, true
}

// listeners opens port on every address of h.
func (r *rack) listeners(h Host, port uint16) ([]net.Listener, error) {
	var ls []net.Listener
	for _, a := range h.Addrs() {
		addr := netip.AddrPortFrom(a, port)
		l, err := r.listen("tcp", addr.String())
		if err != nil {
			return nil, fmt.Errorf("listen to %v for %s: %w", addr, h.Name, err)
		}
		r.onClose(func() { _ = l.Close() }) // its server may have closed it already
		ls = append(ls, l)
	}
	return ls, nil
}

// serveConns has handle serve each connection that l accepts, in a goroutine
// of its own. handle need not close the connection.
func (r *rack) serveConns(l net.Listener, handle func(net.Conn)) {
	r.running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			r.running.Go(func() {
				defer c.Close()
				release, ok := r.hold(c)
				if !ok {
					return
				}
				defer release()
				handle(c)
			})
		}
	})
}

// startDNS serves the zone on NameServer's addresses.
func (r *rack) startDNS() error {
	z, err := newZone()
	if err != nil {
		return err
	}
	s := &nameServer{zone: z, queries: r.queries}
	h := Lookup(NameServer)
	ls, err := r.listeners(h, 53)
	if err != nil {
		return err
	}
	for _, l := range ls {
		if err := r.serveDNS(s, l, nil); err != nil {
			return err
		}
	}
	for _, a := range h.Addrs() {
		for _, port := range []uint16{53, 5300} {
			pc, err := r.packets(h, a, port)
			if err != nil {
				return err
			}
			if err := r.serveDNS(s, nil, pc); err != nil {
				return err
			}
		}
	}
	return nil
}

// packets opens port on a for UDP.
func (r *rack) packets(h Host, a netip.Addr, port uint16) (net.PacketConn, error) {
	addr := netip.AddrPortFrom(a, port)
	pc, err := r.listenPacket("udp", addr.String())
	if err != nil {
		return nil, fmt.Errorf("listen to UDP %v for %s: %w", addr, h.Name, err)
	}
	r.onClose(func() { _ = pc.Close() }) // its server may have closed it already
	return pc, nil
}
