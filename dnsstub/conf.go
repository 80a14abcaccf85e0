package dnsstub

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// What resolv.conf(5) allows, and assumes where a file says nothing.
const (
	maxServers      = 3 // MAXNS
	defaultTimeout  = 5 * time.Second
	maxTimeout      = 30 // seconds
	defaultAttempts = 2
	maxAttempts     = 5
)

// A Conf is what a resolver configuration says. The zero value asks nobody.
type Conf struct {
	Servers  []netip.AddrPort // in the order in which they are asked
	Search   []string         // lower case, without the final dot
	Timeout  time.Duration    // for one try; zero means 5 s
	Attempts int              // rounds through Servers; zero means 2
	Rotate   bool             // begin each question with the next server
	TCP      bool             // ask over TCP at once
}

// ParseConf reads a file as resolv.conf(5) and glibc do: what they do not
// understand is passed over, and without a server there is one on this host.
func ParseConf(text []byte) Conf {
	var c Conf
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(f[1]); err == nil && len(c.Servers) < maxServers {
				c.Servers = append(c.Servers, netip.AddrPortFrom(reachable(a), 53))
			}
		case "domain":
			c.Search = suffixes(f[1:2])
		case "search":
			c.Search = suffixes(f[1:])
		case "options":
			c.options(f[1:])
		}
	}
	if len(c.Servers) == 0 {
		c.Servers = []netip.AddrPort{netip.AddrPortFrom(loopback4, 53)}
	}
	return c
}

// options reads the words of an options line.
func (c *Conf) options(words []string) {
	for _, w := range words {
		name, value, _ := strings.Cut(w, ":")
		n, err := strconv.Atoi(value)
		switch {
		case name == "timeout" && err == nil && n > 0:
			c.Timeout = time.Duration(min(n, maxTimeout)) * time.Second
		case name == "attempts" && err == nil && n > 0:
			c.Attempts = min(n, maxAttempts)
		case name == "rotate":
			c.Rotate = true
		case name == "use-vc":
			c.TCP = true
		}
	}
}

// reachable is a, or this host if a is the unspecified address: to send there
// is to send to oneself.
func reachable(a netip.Addr) netip.Addr {
	switch a = a.Unmap(); {
	case !a.IsUnspecified():
		return a
	case a.Is4():
		return loopback4
	}
	return loopback6
}

// suffixes are the names of a search list, without the root and what is no name.
func suffixes(words []string) []string {
	var out []string
	for _, w := range words {
		_, ok := dns.IsDomainName(w)
		if name := hostName(w); ok && name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}
