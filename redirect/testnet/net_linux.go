package testnet

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Net is a small internet. Its methods are safe for concurrent use, except
// Gone and Back.
type Net struct {
	CA     *CA
	CAFile string // the CA's certificate in a PEM file

	tb      testing.TB
	dir     string
	link    *link
	hits    *tally
	queries *tally
}

// New builds a small internet for the test tb and takes it down when tb ends.
// Then tb fails if a process is left in it. An ordinary user's test is skipped.
func New(tb testing.TB) *Net {
	tb.Helper()
	requireRoot(tb)
	n := &Net{tb: tb, dir: tempDir(tb), hits: new(tally), queries: new(tally)}
	var err error
	if n.CA, err = NewCA(); err != nil {
		tb.Fatal(err)
	}
	n.CAFile = n.file("ca.pem", n.CA.PEM)
	n.file("resolv.conf", fmt.Appendf(nil, "nameserver %v\nsearch %s\noptions timeout:1 attempts:2\n", Lookup(NameServer).V4, Search))
	n.file("nsswitch.conf", []byte("passwd: files\ngroup: files\nhosts: files dns\n"))
	if n.link, err = newLink(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(n.leave)

	r := &rack{ca: n.CA, hits: n.hits, queries: n.queries, listen: n.Listen, listenPacket: n.ListenPacket}
	tb.Cleanup(r.close)
	if err := r.serveAll(); err != nil {
		tb.Fatal(err)
	}
	if err := n.startNginx(r); err != nil {
		tb.Fatal(err)
	}
	return n
}

// tempDir makes a directory that every user may read, unlike tb.TempDir, for
// commands that run as another user.
func tempDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "testnet-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// requireRoot skips tb for an ordinary user, and for nobody else.
func requireRoot(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("needs root: it makes network namespaces")
	}
}

// file writes a file of n's own and returns its path.
func (n *Net) file(name string, data []byte) string {
	n.tb.Helper()
	path := filepath.Join(n.dir, name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		n.tb.Fatal(err)
	}
	return path
}

// dying is how long a process that was killed as the test's last act may take to
// be gone: another one has to notice, kill and reap.
const dying = 2 * time.Second

// leave checks that the client's side is empty and gives the namespaces up.
func (n *Net) leave() {
	n.tb.Helper()
	left, err := n.link.tenants()
	for end := time.Now().Add(dying); err == nil && len(left) > 0 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
		left, err = n.link.tenants()
	}
	if err != nil {
		n.tb.Error(err)
	}
	for _, p := range left {
		n.tb.Errorf("process %d (%s) is left in the small internet", p.pid, p.command)
		p.kill()
	}
	n.link.close()
}

// Hits returns how often each route was reached: by "HOST/PATH" for HTTP, by
// "HOST:PORT" for connections to raw TCP, by "HOST:PORT/udp" for datagrams.
func (n *Net) Hits() map[string]int { return n.hits.counts() }

// HitCount is the sum of Hits.
func (n *Net) HitCount() int {
	sum := 0
	for _, c := range n.Hits() {
		sum += c
	}
	return sum
}

// Queries returns how often each DNS question was asked, by "NAME TYPE udp" and "NAME TYPE tcp".
func (n *Net) Queries() map[string]int { return n.queries.counts() }

// Enter runs f on a thread inside the client's namespace: a socket that f makes
// there stays there. Only what runs on f's own goroutine is inside: net.Dial with
// a literal address and net.Listen are, a name lookup is not, it would
// leave by the host's network. Use Dial or Client for names.
func (n *Net) Enter(f func()) {
	n.tb.Helper()
	if err := inside(n.link.client, func() error { f(); return nil }); err != nil {
		n.tb.Fatal(err)
	}
}

// Dial connects from inside the client's namespace. The host in addr is an
// address or the name of one of Hosts, IPv4 preferred; no DNS question is asked.
func (n *Net) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	if _, err := netip.ParseAddr(host); err != nil {
		if host, err = literal(network, host); err != nil {
			return nil, fmt.Errorf("dial %s: %w", addr, err)
		}
	}
	var c net.Conn
	err = inside(n.link.client, func() error {
		var err error
		c, err = new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(host, port))
		return err
	})
	return c, err
}

// literal is the address of the host called name that suits network.
func literal(network, name string) (string, error) {
	for _, h := range Hosts() {
		if h.Name != name {
			continue
		}
		for _, a := range h.Addrs() {
			if a.Is4() && network[len(network)-1] != '6' || a.Is6() && network[len(network)-1] != '4' {
				return a.String(), nil
			}
		}
	}
	return "", &net.DNSError{Err: "no such host in the small internet", Name: name, IsNotFound: true}
}

// Client returns an HTTP client inside the client's namespace that trusts the CA
// and keeps no connection after the test. It follows redirects and has no cookies.
func (n *Net) Client() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	t := &http.Transport{DialContext: n.Dial, TLSClientConfig: n.CA.clientConfig(), Protocols: protocols}
	n.tb.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t}
}

// Listen opens a listener in the internet's namespace, for a server of the
// test's own: addr is an address of a host, and a port that the host does not
// use. The caller closes it. Connections that it accepts are in that namespace too.
func (n *Net) Listen(network, addr string) (l net.Listener, err error) {
	err = inside(n.link.internet, func() error {
		l, err = new(net.ListenConfig).Listen(context.Background(), network, addr)
		return err
	})
	return l, err
}

// ListenPacket is Listen for datagrams.
func (n *Net) ListenPacket(network, addr string) (pc net.PacketConn, err error) {
	err = inside(n.link.internet, func() error {
		pc, err = new(net.ListenConfig).ListenPacket(context.Background(), network, addr)
		return err
	})
	return pc, err
}
