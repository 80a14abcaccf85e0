package main

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// A bypass is what passes untouched: whose name, address or port it has.
type bypass struct {
	hosts    []string // lower case; * stands for anything
	prefixes []netip.Prefix
	ports    []uint16
}

// bypassed tells which origins pass unseen by patterns: host names, in which *
// stands for anything, addresses, prefixes and ports. It is nil if there are none.
// where is who says so, for errors.
func bypassed(where string, patterns []string) (func(exchange.Origin) bool, error) {
	var b bypass
	for _, p := range patterns {
		if err := b.add(p); err != nil {
			return nil, hint(fmt.Errorf("%s %q: %w", where, p, err), "a host name, *.example.com, an address, a prefix such as 10.0.0.0/8, or a port")
		}
	}
	if len(patterns) == 0 {
		return nil, nil
	}
	return b.match, nil
}

// add reads one pattern.
func (b *bypass) add(p string) error {
	if a, err := netip.ParseAddr(strings.Trim(p, "[]")); err == nil {
		b.prefixes = append(b.prefixes, netip.PrefixFrom(a, a.BitLen()))
		return nil
	}
	if prefix, err := netip.ParsePrefix(p); err == nil {
		b.prefixes = append(b.prefixes, prefix.Masked())
		return nil
	}
	if strings.Trim(p, "0123456789") == "" && p != "" {
		all, err := ports([]string{p})
		b.ports = append(b.ports, all...)
		return err
	}
	if _, err := path.Match(p, ""); err != nil || p == "" || strings.ContainsAny(p, ":/@ \t") {
		return errors.New("neither host, address, prefix nor port")
	}
	b.hosts = append(b.hosts, strings.ToLower(p))
	return nil
}

// match tells whether o passes.
func (b *bypass) match(o exchange.Origin) bool {
	host := strings.ToLower(o.Host())
	return slices.Contains(b.ports, o.Addr.Port()) ||
		slices.ContainsFunc(b.prefixes, func(p netip.Prefix) bool { return p.Contains(o.Addr.Addr().Unmap()) }) ||
		slices.ContainsFunc(b.hosts, func(h string) bool { ok, _ := path.Match(h, host); return ok }) // add tried the pattern
}

// ports reads port numbers.
func ports(texts []string) ([]uint16, error) {
	var all []uint16
	for _, t := range texts {
		n, err := strconv.ParseUint(t, 10, 16)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("%q is no port", t)
		}
		all = append(all, uint16(n))
	}
	return all, nil
}
