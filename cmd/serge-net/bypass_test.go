package main

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serge-net/serge-net/exchange"
)

func TestBypassed(t *testing.T) {
	api := exchange.Origin{Addr: netip.MustParseAddrPort("198.18.0.1:443"), Name: "api.example.com", SNI: "API.Example.com"}
	bare := exchange.Origin{Addr: netip.MustParseAddrPort("[::ffff:10.1.2.3]:5432")}
	six := exchange.Origin{Addr: netip.MustParseAddrPort("[2001:db8::7]:80")}
	for _, c := range []struct {
		patterns       string // with blanks between
		api, bare, six bool
	}{
		{"api.example.com", true, false, false},
		{"API.EXAMPLE.COM", true, false, false},
		{"*.example.com", true, false, false},
		{"*.com", true, false, false},
		{"example.com", false, false, false},
		{"*", true, true, true},
		{"10.0.0.0/8", false, true, false},
		{"10.1.2.3", false, true, false},
		{"10.9.9.9/8", false, true, false},
		{"2001:db8::/32", false, false, true},
		{"[2001:db8::7]", false, false, true},
		{"5432", false, true, false},
		{"443 80", true, false, true},
		{"198.51.100.1 nothing.example", false, false, false},
	} {
		match, err := bypassed("--bypass", strings.Fields(c.patterns))
		if err != nil {
			t.Errorf("bypassed(%s): %v", c.patterns, err)
			continue
		}
		if a, b, s := match(api), match(bare), match(six); a != c.api || b != c.bare || s != c.six {
			t.Errorf("bypassed(%s): api %v, bare %v, six %v; want %v, %v, %v", c.patterns, a, b, s, c.api, c.bare, c.six)
		}
	}
	if match, err := bypassed("--bypass", nil); match != nil || err != nil {
		t.Errorf("bypassed(nothing) is not nil, or %v", err)
	}
	for _, p := range []string{"", "http://a.example/", "a.example:443", "10.0.0.0/33", "[", "a b", "0", "65536", "ada@a.example"} {
		if _, err := bypassed("--bypass", []string{p}); err == nil || hintOf(err) == "" {
			t.Errorf("bypassed(%q) = %v; want an error with a hint", p, err)
		}
	}
}

func TestPorts(t *testing.T) {
	got, err := ports([]string{"1", "8080", "65535"})
	if d := cmp.Diff([]uint16{1, 8080, 65535}, got); d != "" || err != nil {
		t.Errorf("ports (-want +got):\n%s%v", d, err)
	}
	for _, p := range []string{"", "0", "65536", "-1", "http", "80-90", "1e3"} {
		if got, err := ports([]string{p}); err == nil {
			t.Errorf("ports(%q) = %v; want an error", p, got)
		}
	}
}
