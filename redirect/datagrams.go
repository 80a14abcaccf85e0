package redirect

import (
	"net/netip"
	"slices"
)

// A Pass is UDP that may leave: to the addresses To, anywhere if that is the zero
// Prefix, at the port Port, at any if that is 0.
type Pass struct {
	To   netip.Prefix
	Port uint16
}

// otherPorts is the port of Packets that are for none of their own.
const otherPorts = 0

// passing is t.Pass in full.
func (t Target) passing() []Pass {
	if t.Pass != nil || t.Hermetic {
		return t.Pass
	}
	return []Pass{{}}
}

// narrowed is what of p goes to one of prefixes.
func (p Pass) narrowed(prefixes []netip.Prefix) []Pass {
	var all []Pass
	for _, to := range prefixes {
		switch {
		case !p.To.IsValid() || p.To.Overlaps(to) && p.To.Bits() <= to.Bits():
			all = append(all, Pass{To: to, Port: p.Port})
		case p.To.Overlaps(to):
			all = append(all, p)
		}
	}
	return all
}

// narrowed is what of all goes to one of prefixes.
func narrowed(all []Pass, prefixes []netip.Prefix) []Pass {
	var some []Pass
	for _, p := range all {
		some = append(some, p.narrowed(prefixes)...)
	}
	return some
}

// inFamily is what of all concerns one address family: that of IPv6, or IPv4.
func inFamily(all []Pass, v6 bool) []Pass {
	return slices.DeleteFunc(slices.Clone(all), func(p Pass) bool { return p.To.IsValid() && p.To.Addr().Unmap().Is6() != v6 })
}
