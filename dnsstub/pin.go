package dnsstub

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// ErrPinsFull says that every address of the pin range stands for a name.
var ErrPinsFull = errors.New("dnsstub: no address is left to pin a name to")

// Pins live in ranges that no origin uses: 198.18.0.0/15 is for benchmarks
// (RFC 2544), fd5e:7267::/64 a unique local prefix (RFC 4193) of ours.
var (
	pins4 = netip.MustParsePrefix("198.18.0.0/15")
	pins6 = netip.MustParsePrefix("fd5e:7267::/64")
)

// PinRanges returns the prefixes in which every pin lies, IPv4's first.
func PinRanges() []netip.Prefix { return []netip.Prefix{pins4, pins6} }

// pinSlots is the number of addresses in pins4.
const pinSlots = 1 << 17

// A Pin is the address that stands for a name.
type Pin struct {
	Name string // lower case, without the final dot
	V4   netip.Addr
	V6   netip.Addr // the zero Addr unless the origin has an IPv6 address
}

// Pins gives each name an address of its own, and tells the name from the
// address. The address follows from the name: IPv4 is its hash into
// 198.18.0.0/15, the next free one if another name has that, and IPv6 is the
// same number below fd5e:7267::. Only names that collide (one pair is likely
// among some 400 names) depend on the order in which they came; a cassette
// therefore keeps its pins. The zero value is ready. Its methods are safe for
// concurrent use.
type Pins struct {
	mu     sync.Mutex
	byName map[string]*pin
	byAddr map[netip.Addr]*pin // by V4
}

// pin is a Pin and whether it came from a cassette.
type pin struct {
	Pin
	kept bool
}

// Pin returns the pin of name, made now if there is none. With v6 it has an
// IPv6 address, from now on. The error is ErrPinsFull, or that name is empty.
func (p *Pins) Pin(name string, v6 bool) (Pin, error) {
	name = hostName(name)
	if name == "" {
		return Pin{}, errors.New("dnsstub: pin the root: it is no host")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.byName[name]
	if e == nil {
		v4, ok := p.free(name)
		if !ok {
			return Pin{}, fmt.Errorf("pin %s: %w", name, ErrPinsFull)
		}
		e = p.put(Pin{Name: name, V4: v4})
	}
	if v6 {
		e.V6 = twin(e.V4)
	}
	return e.Pin, nil
}

// Add takes a pin that a cassette kept. One that contradicts those already
// here, or lies outside the pin ranges, is an error and changes nothing.
func (p *Pins) Add(n Pin) error {
	name := hostName(n.Name)
	switch {
	case name == "":
		return fmt.Errorf("dnsstub: pin %v to no name", n.V4)
	case !pins4.Contains(n.V4):
		return fmt.Errorf("dnsstub: pin %s to %v: not in %v", name, n.V4, pins4)
	case n.V6.IsValid() && n.V6 != twin(n.V4):
		return fmt.Errorf("dnsstub: pin %s to %v: beside %v that must be %v", name, n.V6, n.V4, twin(n.V4))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.byAddr[n.V4]; e != nil && e.Name != name {
		return fmt.Errorf("dnsstub: pin %s to %v: that is %s", name, n.V4, e.Name)
	}
	e := p.byName[name]
	switch {
	case e == nil:
		e = p.put(Pin{Name: name, V4: n.V4})
	case e.V4 != n.V4:
		return fmt.Errorf("dnsstub: pin %s to %v: it is pinned to %v", name, n.V4, e.V4)
	}
	e.kept = true
	if n.V6.IsValid() {
		e.V6 = n.V6
	}
	return nil
}

// NameOf returns the name that a stands for, and whether it is a pin.
func (p *Pins) NameOf(a netip.Addr) (string, bool) {
	a = a.Unmap()
	v4 := a
	if a.Is6() {
		b := a.As16()
		v4 = netip.AddrFrom4([4]byte(b[12:]))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.byAddr[v4]
	if e == nil || a != e.V4 && a != e.V6 {
		return "", false
	}
	return e.Name, true
}

// All returns the pins, sorted by name.
func (p *Pins) All() []Pin {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Pin, 0, len(p.byName))
	for _, e := range p.byName {
		all = append(all, e.Pin)
	}
	slices.SortFunc(all, func(a, b Pin) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// of returns the pin of name, if there is one, and whether a cassette kept it.
func (p *Pins) of(name string) (n Pin, kept, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.byName[hostName(name)]
	if e == nil {
		return Pin{}, false, false
	}
	return e.Pin, e.kept, true
}

// free returns the first address for name that no other name has. Addresses
// that end in 0 or 255 are passed over: some programs take them for a
// network's own or its broadcast. p.mu is held.
func (p *Pins) free(name string) (netip.Addr, bool) {
	h := fnv.New64a()
	h.Write([]byte(name))
	base, start := pins4.Addr().As4(), h.Sum64()
	for i := range uint64(pinSlots) {
		slot := uint32((start + i) % pinSlots)
		if last := byte(slot); last == 0 || last == 255 {
			continue
		}
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(base[:])+slot)
		if a := netip.AddrFrom4(b); p.byAddr[a] == nil {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// put stores n. p.mu is held.
func (p *Pins) put(n Pin) *pin {
	if p.byName == nil {
		p.byName = make(map[string]*pin)
		p.byAddr = make(map[netip.Addr]*pin)
	}
	e := &pin{Pin: n}
	p.byName[n.Name], p.byAddr[n.V4] = e, e
	return e
}

// twin is the IPv6 pin that belongs to an IPv4 one.
func twin(v4 netip.Addr) netip.Addr {
	b, low := pins6.Addr().As16(), v4.As4()
	copy(b[12:], low[:])
	return netip.AddrFrom16(b)
}

// pinned reports whether a is in a pin range.
func pinned(a netip.Addr) bool { return pins4.Contains(a.Unmap()) || pins6.Contains(a) }

// hostName is name as a Pin has it.
func hostName(name string) string {
	return strings.TrimSuffix(dns.CanonicalName(name), ".")
}
