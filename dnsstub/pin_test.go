package dnsstub

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var addrs = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func TestPins(t *testing.T) {
	var p Pins
	a, err := p.Pin("API.Example.com.", false)
	if err != nil || !pins4.Contains(a.V4) || a.V6.IsValid() || a.Name != "api.example.com" {
		t.Fatalf("Pin = %+v, %v; want api.example.com in %v", a, err, pins4)
	}
	b, err := p.Pin("api.example.com", true)
	if err != nil || b.V4 != a.V4 || !pins6.Contains(b.V6) {
		t.Errorf("Pin with IPv6 = %+v, %v; want %v and one in %v", b, err, a.V4, pins6)
	}
	if c, _ := p.Pin("api.example.com", false); c != b {
		t.Errorf("Pin = %+v after %+v; want it to stay", c, b)
	}
	for _, addr := range []netip.Addr{b.V4, b.V6, netip.AddrFrom16(b.V4.As16())} {
		if name, ok := p.NameOf(addr); name != "api.example.com" || !ok {
			t.Errorf("NameOf(%v) = %q, %v; want api.example.com", addr, name, ok)
		}
	}
	for _, s := range []string{"198.18.0.0", "127.0.0.1", "::1", "fd5e:7267::", "2001:db8::" + b.V4.String()} {
		if name, ok := p.NameOf(netip.MustParseAddr(s)); ok {
			t.Errorf("NameOf(%s) = %q; want none", s, name)
		}
	}
	if name, ok := p.NameOf(netip.Addr{}); ok {
		t.Errorf("NameOf of no address = %q; want none", name)
	}
	if _, err := p.Pin(".", false); err == nil {
		t.Error("Pin of the root: want an error")
	}
}

func TestPinsAreKept(t *testing.T) {
	var p, q Pins
	var pinning sync.WaitGroup
	for i := range 500 {
		pinning.Go(func() {
			if _, err := p.Pin(fmt.Sprintf("n%d.example.com", i%250), i%3 == 0); err != nil {
				t.Error(err)
			}
		})
	}
	pinning.Wait()
	for _, n := range p.All() {
		if err := q.Add(n); err != nil {
			t.Error(err)
		}
		if err := q.Add(n); err != nil {
			t.Errorf("the same again: %v", err)
		}
		if last := n.V4.As4()[3]; last == 0 || last == 255 {
			t.Errorf("%s is pinned to %v, which looks like a network or its broadcast", n.Name, n.V4)
		}
	}
	if diff := cmp.Diff(p.All(), q.All(), addrs); diff != "" || len(q.All()) != 250 {
		t.Errorf("after a round trip %d pins (-want +got):\n%s", len(q.All()), diff)
	}
}

func TestAddRefuses(t *testing.T) {
	var p Pins
	v4 := netip.MustParseAddr("198.18.7.7")
	if err := p.Add(Pin{Name: "a.example", V4: v4}); err != nil {
		t.Fatal(err)
	}
	for _, n := range []Pin{
		{Name: "", V4: v4},
		{Name: "b.example"},
		{Name: "b.example", V4: v4},
		{Name: "a.example", V4: v4.Next()},
		{Name: "b.example", V4: netip.MustParseAddr("203.0.113.1")},
		{Name: "b.example", V4: v4.Next(), V6: netip.MustParseAddr("fd5e:7267::1")},
	} {
		if err := p.Add(n); err == nil {
			t.Errorf("Add(%+v) = nil; want an error", n)
		}
	}
	if all := p.All(); len(all) != 1 {
		t.Errorf("All = %v; want only a.example", all)
	}
	if n, err := p.Pin("a.example", true); err != nil || n.V4 != v4 || n.V6 != netip.MustParseAddr("fd5e:7267::c612:707") {
		t.Errorf("Pin = %+v, %v; want the kept one", n, err)
	}
}
