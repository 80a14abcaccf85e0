package exchange

import (
	"net/netip"
	"strings"
	"testing"
)

func TestURL(t *testing.T) {
	plain := Origin{Addr: netip.MustParseAddrPort("203.0.113.7:80")}
	named := Origin{Addr: netip.MustParseAddrPort("203.0.113.7:8080"), Name: "Pinned.Example"}
	secure := Origin{Addr: netip.MustParseAddrPort("203.0.113.7:443"), Name: "pinned.example", SNI: "sni.example", TLS: true}
	v6 := Origin{Addr: netip.MustParseAddrPort("[2001:db8::7]:8443"), TLS: true}
	mapped := Origin{Addr: netip.MustParseAddrPort("[::ffff:203.0.113.7]:80")}
	for _, c := range []struct {
		origin                    Origin
		method, scheme, authority string
		target                    string
		want                      string
	}{
		{plain, "GET", "", "example.com", "/", "http://example.com/"},
		{plain, "GET", "http", "Example.COM", "/A?b=C#d", "http://example.com/A?b=C#d"},
		{plain, "GET", "", "example.com.", "/", "http://example.com/"},
		{plain, "GET", "", "example.com.:8080", "/", "http://example.com:8080/"},

		// Ports: the scheme's own is left out, whoever says it.
		{plain, "GET", "", "example.com:80", "/", "http://example.com/"},
		{plain, "GET", "", "example.com:443", "/", "http://example.com:443/"},
		{plain, "GET", "", "example.com:", "/", "http://example.com/"},
		{secure, "GET", "", "example.com:443", "/", "https://example.com/"},
		{secure, "GET", "", "example.com:80", "/", "https://example.com:80/"},
		{secure, "GET", "http", "example.com:80", "/", "http://example.com/"},

		// IPv6 literals.
		{plain, "GET", "", "[2001:DB8::1]", "/", "http://[2001:db8::1]/"},
		{plain, "GET", "", "[2001:db8::1]:80", "/", "http://[2001:db8::1]/"},
		{plain, "GET", "", "[2001:db8::1]:8080", "/", "http://[2001:db8::1]:8080/"},
		{plain, "GET", "", "2001:db8::1", "/", "http://[2001:db8::1]/"},

		// No authority: the best name of the origin, and the connection's port.
		{plain, "GET", "", "", "/", "http://203.0.113.7/"},
		{named, "GET", "", "", "/", "http://pinned.example:8080/"},
		{named, "GET", "", ":1234", "/", "http://pinned.example:8080/"},
		{secure, "GET", "", "", "/", "https://sni.example/"},
		{v6, "GET", "", "", "/", "https://[2001:db8::7]:8443/"},
		{mapped, "GET", "", "", "/", "http://203.0.113.7/"},

		// Other forms of the target (RFC 9112 section 3.2).
		{plain, "GET", "", "proxy.example", "http://Origin.example:80/x", "http://Origin.example:80/x"},
		{plain, "GET", "", "example.com", "/go?to=http://other.example/", "http://example.com/go?to=http://other.example/"},
		{plain, "OPTIONS", "", "example.com", "*", "http://example.com/*"},
		{named, "CONNECT", "", "", "example.com:443", "http://pinned.example:8080/example.com:443"},
		{secure, "GET", "https", "example.com", "", "https://example.com"},
	} {
		h := &Head{Method: c.method, Scheme: c.scheme, Authority: c.authority, Target: c.target}
		if got := c.origin.URL(h); got != c.want {
			t.Errorf("(%v).URL(%s %q %q %q) = %q; want %q", c.origin, c.method, c.scheme, c.authority, c.target, got, c.want)
		}
	}
}

// FuzzURL checks that any request has a URL, which ends as its target does.
func FuzzURL(f *testing.F) {
	for _, s := range [][2]string{{"example.com", "/"}, {"[::1]:80", "/a?b"}, {"", "*"}, {":", "http://x/"}, {"[", ""}, {"::", "://"}, {"a:b:c", "\x00"}} {
		f.Add(s[0], s[1], true)
		f.Add(s[0], s[1], false)
	}
	f.Fuzz(func(t *testing.T, authority, target string, secure bool) {
		o := Origin{Addr: netip.MustParseAddrPort("203.0.113.7:80"), TLS: secure}
		got := o.URL(&Head{Method: "GET", Authority: authority, Target: target})
		if !strings.HasSuffix(got, target) || !strings.Contains(got, "://") {
			t.Errorf("URL(%q, %q) = %q", authority, target, got)
		}
	})
}

func TestHost(t *testing.T) {
	at := netip.MustParseAddrPort("[::ffff:203.0.113.7]:443")
	for _, c := range []struct {
		origin Origin
		want   string
	}{
		{Origin{Addr: at, Name: "pinned.example", SNI: "sni.example"}, "sni.example"},
		{Origin{Addr: at, Name: "pinned.example"}, "pinned.example"},
		{Origin{Addr: at}, "203.0.113.7"},
		{Origin{Addr: netip.MustParseAddrPort("[2001:db8::7]:443")}, "2001:db8::7"},
	} {
		if got := c.origin.Host(); got != c.want {
			t.Errorf("(%v).Host() = %q; want %q", c.origin, got, c.want)
		}
	}
}
