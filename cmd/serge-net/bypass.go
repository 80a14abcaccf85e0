package main

import (
	"fmt"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// bypassed tells which origins pass unseen by patterns: host names, in which *
// stands for anything, addresses and prefixes. It is nil if there are none.
func bypassed(patterns []string) (func(exchange.Origin) bool, error) {
	var hosts []string
	var prefixes []netip.Prefix
	for _, p := range patterns {
		if a, err := netip.ParseAddr(p); err == nil {
			prefixes = append(prefixes, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		if strings.Contains(p, "/") {
			prefix, err := netip.ParsePrefix(p)
			if err != nil {
				return nil, hint(fmt.Errorf("--bypass %q: %w", p, err), "a host name, *.example.com, an address or a prefix such as 10.0.0.0/8")
			}
			prefixes = append(prefixes, prefix)
			continue
		}
		if _, err := path.Match(p, ""); err != nil || p == "" {
			return nil, hint(fmt.Errorf("--bypass %q is not a host name", p), "a host name, *.example.com, an address or a prefix such as 10.0.0.0/8")
		}
		hosts = append(hosts, strings.ToLower(p))
	}
	if len(hosts)+len(prefixes) == 0 {
		return nil, nil
	}
	return func(o exchange.Origin) bool {
		for _, p := range prefixes {
			if p.Contains(o.Addr.Addr().Unmap()) {
				return true
			}
		}
		for _, h := range hosts {
			if ok, _ := path.Match(h, strings.ToLower(o.Host())); ok {
				return true
			}
		}
		return false
	}, nil
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
