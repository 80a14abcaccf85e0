package mitm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"time"

	"golang.org/x/net/http/httpproxy"

	"github.com/serge-net/serge-net/exchange"
)

// dialTimeout bounds a connection to an origin, over all its addresses. Linux
// gives up on a SYN after about 130 s; clients before that.
const dialTimeout = 60 * time.Second

// Upstream is our way to the origins. The zero value dials directly and trusts
// the system's roots. It is not changed once in use, and safe for concurrent use.
type Upstream struct {
	Dialer   net.Dialer
	Roots    *x509.CertPool    // whom to trust; nil: the system's roots
	Insecure bool              // trust anybody
	Proxy    *httpproxy.Config // the proxies that the user's environment named; nil: none
	Sessions tls.ClientSessionCache
}

// Dial connects to o: by its pinned name, so that both address families and
// every address are tried, else by its address.
func (u *Upstream) Dial(ctx context.Context, o exchange.Origin) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	host := o.Name
	if host == "" {
		host = o.Addr.Addr().Unmap().String()
	}
	to := net.JoinHostPort(host, strconv.Itoa(int(o.Addr.Port())))
	proxy, err := u.proxyOf(o, to)
	if err != nil {
		return nil, err
	}
	if proxy != nil {
		return u.dialThrough(ctx, proxy, to)
	}
	c, err := u.Dialer.DialContext(ctx, "tcp", to)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", to, err)
	}
	return c, nil
}

// proxyOf is the proxy for o, nil if there is none. Port 80 goes by the
// setting for http, every other by that for https: which of the two a
// connection speaks is not known yet.
func (u *Upstream) proxyOf(o exchange.Origin, to string) (*url.URL, error) {
	if u.Proxy == nil {
		return nil, nil
	}
	scheme := "https"
	if o.Addr.Port() == 80 {
		scheme = "http"
	}
	p, err := u.Proxy.ProxyFunc()(&url.URL{Scheme: scheme, Host: to})
	if err != nil {
		return nil, fmt.Errorf("proxy for %s: %w", to, err)
	}
	return p, nil
}

// Secure starts TLS on c as the client would have, by its hello if there is one:
// its name, its protocols, and the post-quantum key exchange, whose cost NewServer
// tells, only if it offers that. o gets what the origin chose. The origin's certificate is verified against the
// name that the client asked for, else the one it looked up, else the address.
func (u *Upstream) Secure(ctx context.Context, c net.Conn, o *exchange.Origin, hello *tls.ClientHelloInfo) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	t := tls.Client(peek(c), u.config(*o, hello))
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS with %s: %w", connected(*o), err)
	}
	noted(o, t.ConnectionState())
	return t, nil
}

// config is that of TLS with o, as Secure says.
func (u *Upstream) config(o exchange.Origin, hello *tls.ClientHelloInfo) *tls.Config {
	config := &tls.Config{
		ServerName:         o.Host(),
		RootCAs:            u.Roots,
		InsecureSkipVerify: u.Insecure,
		ClientSessionCache: u.Sessions,
		MinVersion:         tls.VersionTLS12,
	}
	if hello != nil {
		config.NextProtos = hello.SupportedProtos
		if !slices.Contains(hello.SupportedCurves, tls.X25519MLKEM768) {
			config.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}
		}
	}
	return config
}

// noted notes in o what it chose in a handshake.
func noted(o *exchange.Origin, st tls.ConnectionState) {
	o.TLS, o.ALPN = true, st.NegotiatedProtocol
	if len(st.PeerCertificates) > 0 {
		o.Names = namesOf(st.PeerCertificates[0])
	}
}

// namesOf is the names and addresses that cert is for, sorted.
func namesOf(cert *x509.Certificate) []string {
	names := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		if a, ok := netip.AddrFromSlice(ip); ok {
			names = append(names, a.Unmap().String())
		}
	}
	slices.Sort(names)
	return names
}
