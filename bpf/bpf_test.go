package bpf

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

func TestWords(t *testing.T) {
	for _, in := range []string{"0.0.0.0", "127.0.0.1", "203.0.113.7", "::", "::1", "2001:db8::1:2"} {
		a := netip.MustParseAddr(in)
		if got := address(words(a)); got != a {
			t.Errorf("address(words(%s)) = %s", a, got)
		}
	}
	if got, want := address(words(netip.MustParseAddr("::ffff:192.0.2.1"))), netip.MustParseAddr("192.0.2.1"); got != want {
		t.Errorf("a mapped address comes out as %s; want %s", got, want)
	}
}

func TestPrefixKey(t *testing.T) {
	for _, c := range []struct {
		in, addr string
		bits     uint32
	}{
		{"10.1.2.3/8", "10.0.0.0", 104},
		{"0.0.0.0/0", "0.0.0.0", 96},
		{"2001:db8::1/32", "2001:db8::", 32},
		{"::/0", "::", 0},
	} {
		k := prefixKey(netip.MustParsePrefix(c.in))
		if got := address(k.Addr); k.Len != c.bits || got.String() != c.addr {
			t.Errorf("prefixKey(%s) = %s/%d; want %s/%d", c.in, got, k.Len, c.addr, c.bits)
		}
	}
}

func TestSpec(t *testing.T) {
	s, err := spec(Config{
		Listener4: 4000,
		Probe:     netip.MustParseAddr("127.1.2.3"),
		Except:    []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		Loopback:  []uint16{80},
		Resolvers: []netip.Addr{netip.MustParseAddr("127.0.0.53")},
		Hermetic:  true,
	})
	if err != nil {
		t.Fatal(err)
	}
	var listener uint16
	var probe uint32
	if err := s.Variables[divertVarListener4].Get(&listener); err != nil || listener != 4000 {
		t.Errorf("listener4 = %d, %v; want 4000", listener, err)
	}
	if err := s.Variables[divertVarProbe4].Get(&probe); err != nil || probe != 0x7f010203 {
		t.Errorf("probe4 = %#x, %v; want 0x7f010203", probe, err)
	}
	for _, name := range []string{divertMapExcept, divertMapLoopbackPorts, divertMapResolvers} {
		if n := len(s.Maps[name].Contents); n != 1 {
			t.Errorf("%s has %d entries; want 1", name, n)
		}
	}
	for name, p := range s.Programs {
		if p.AttachType == ebpf.AttachNone {
			t.Errorf("%s has no attach type", name)
		}
	}
	if _, err := spec(Config{Resolvers: make([]netip.Addr, 65)}); err == nil || !strings.Contains(err.Error(), "65 entries, 64 fit") {
		t.Errorf("spec with 65 resolvers: %v; want that 64 fit", err)
	}
}

func TestLoad(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	for _, c := range []Config{{}, {Hermetic: true}, {QUIC: true}} {
		h, err := Load(c)
		if err != nil {
			t.Fatalf("%+v", err)
		}
		if _, ok, err := h.Original(netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2")); ok || err != nil {
			t.Errorf("Original of nobody = %v, %v; want false, nil", ok, err)
		}
		if _, ok, err := h.Queried(netip.MustParseAddrPort("127.128.0.1:1")); ok || err != nil {
			t.Errorf("Queried of nobody = %v, %v; want false, nil", ok, err)
		}
		if all, err := h.Escapes(); len(all) != 0 || err != nil {
			t.Errorf("Escapes = %v, %v; want none", all, err)
		}
		for range 2 {
			if err := h.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
	}
}

// TestUnnamed has no program ask for names where that is not wanted.
func TestUnnamed(t *testing.T) {
	for _, named := range []bool{false, true} {
		s, err := spec(Config{Named: named})
		if err != nil {
			t.Fatal(err)
		}
		asks := 0
		for _, p := range s.Programs {
			for _, in := range p.Instructions {
				if in.IsBuiltinCall() && in.Constant == int64(asm.FnGetCurrentComm) {
					asks++
				}
			}
		}
		if (asks > 0) != named {
			t.Errorf("named %v: %d calls", named, asks)
		}
	}
}
