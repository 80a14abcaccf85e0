package bpf

import (
	"net/netip"
	"testing"
)

func TestLoad(t *testing.T) {
	h, err := Load(Config{Listener4: 1, Probe: netip.MustParseAddr("127.1.2.3"),
		Except: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Loopback: []uint16{80}, Resolvers: []netip.Addr{netip.MustParseAddr("127.0.0.53")}, Hermetic: true})
	if err != nil {
		t.Fatalf("%+v", err)
	}
	h.Close()
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}
