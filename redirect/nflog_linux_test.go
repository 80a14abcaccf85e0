package redirect

import (
	"encoding/hex"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// octets is hexadecimal without its spaces.
func octets(t testing.TB, groups ...string) []byte {
	t.Helper()
	var all []byte
	for _, g := range groups {
		b, err := hex.DecodeString(g)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	return all
}

// The headers of the packets below: 192.0.2.1 to 203.0.113.9, 2001:db8::1 to ::9.
const (
	head4     = "4500001c00000000"
	addrs4    = "c0000201cb007109"
	addrs6    = "20010db800000000000000000000000120010db8000000000000000000000009"
	from1to53 = "0001003500080000"
)

func TestParseDestination(t *testing.T) {
	four, six := netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("2001:db8::9")
	for _, c := range []struct {
		name     string
		packet   []byte
		protocol uint8
		dst      netip.AddrPort
		ok       bool
	}{
		{"udp", octets(t, head4, "40110000", addrs4, from1to53), 17, netip.AddrPortFrom(four, 53), true},
		{"tcp with options", octets(t, "4600002000000000", "40060000", addrs4, "01010101", from1to53), 6, netip.AddrPortFrom(four, 53), true},
		{"sctp", octets(t, head4, "40840000", addrs4, from1to53), 132, netip.AddrPortFrom(four, 53), true},
		{"udp-lite", octets(t, head4, "40880000", addrs4, from1to53), 136, netip.AddrPortFrom(four, 53), true},
		{"icmp", octets(t, head4, "40010000", addrs4, "0800000000000000"), 1, netip.AddrPortFrom(four, 0), true},
		{"a later fragment", octets(t, "4500001c00002001", "40110000", addrs4, from1to53), 17, netip.AddrPortFrom(four, 0), true},
		{"cut off", octets(t, head4, "40110000", addrs4, "0001"), 17, netip.AddrPortFrom(four, 0), true},
		{"v6 udp", octets(t, "6000000000081140", addrs6, from1to53), 17, netip.AddrPortFrom(six, 53), true},
		{"v6 with options", octets(t, "6000000000100040", addrs6, "3c00000000000000", "1101000000000000", "0000000000000000", from1to53), 17, netip.AddrPortFrom(six, 53), true},
		{"v6 first fragment", octets(t, "6000000000102c40", addrs6, "1100000100000001", from1to53), 17, netip.AddrPortFrom(six, 53), true},
		{"v6 later fragment", octets(t, "6000000000102c40", addrs6, "1100000900000001", from1to53), 17, netip.AddrPortFrom(six, 0), true},
		{"short", octets(t, "45000000"), 0, netip.AddrPort{}, false},
		{"v6 short", octets(t, "60000000"), 0, netip.AddrPort{}, false},
		{"neither", octets(t, "75000000"), 0, netip.AddrPort{}, false},
		{"nothing", nil, 0, netip.AddrPort{}, false},
	} {
		protocol, dst, ok := parseDestination(c.packet)
		if protocol != c.protocol || dst != c.dst || ok != c.ok {
			t.Errorf("%s: %d, %v, %v; want %d, %v, %v", c.name, protocol, dst, ok, c.protocol, c.dst, c.ok)
		}
	}
}

// FuzzParseNote never reads past what NFLOG sends.
func FuzzParseNote(f *testing.F) {
	for _, packet := range [][]byte{octets(f, head4, "40110000", addrs4, from1to53), octets(f, "6000000000102c40", addrs6, "1100000100000001", from1to53)} {
		b := appendAttribute(make([]byte, 4), logPrefix, []byte("quic\x00")...)
		f.Add(appendAttribute(b, logPayload, packet...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, _, ok := parseNote(b)
		if ok && !n.dst.Addr().IsValid() {
			t.Errorf("parseNote(%x) = %+v; want an address", b, n)
		}
	})
}

// FuzzParseOriginal reads back the tuple that appendTuple writes, and never past
// what ctnetlink sends.
func FuzzParseOriginal(f *testing.F) {
	for _, dst := range []string{"203.0.113.9:53", "[2001:db8::9]:53"} {
		to := netip.MustParseAddrPort(dst)
		from := netip.AddrPortFrom(to.Addr().Next(), 4000)
		b := appendTuple(make([]byte, 4), ctTupleOrig|unix.NLA_F_NESTED, from, to)
		if got, ok := parseOriginal(b); got != (conversation{from, to}) || !ok {
			f.Errorf("parseOriginal of %v to %v = %v, %v", from, to, got, ok)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, ok := parseOriginal(b); ok != (got.src.Addr().IsValid() && got.dst.Addr().IsValid()) {
			t.Errorf("parseOriginal(%x) = %v, %v", b, got, ok)
		}
	})
}
