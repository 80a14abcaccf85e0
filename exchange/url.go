package exchange

import (
	"net"
	"strconv"
	"strings"
)

// URL is what the request h names on origin o: scheme, authority with the
// default port left out, and target. The authority is the one in the request,
// with the scheme's port if it names none, as the client meant it; without an
// authority it is the origin's best name and the connection's port. An
// absolute-form target is returned as it is.
func (o Origin) URL(h *Head) string {
	if strings.Contains(h.Target, "://") && !strings.HasPrefix(h.Target, "/") {
		return h.Target
	}
	scheme := h.Scheme
	if scheme == "" {
		scheme = "http"
		if o.TLS {
			scheme = "https"
		}
	}
	target := h.Target
	if h.Method == "CONNECT" || target == "*" {
		target = "/" + target
	}
	return scheme + "://" + o.authority(h, scheme) + target
}

// authority is the lower-case host of h, with the port unless it is the scheme's own.
func (o Origin) authority(h *Head, scheme string) string {
	host, port := h.Authority, ""
	if a, p, err := net.SplitHostPort(h.Authority); err == nil {
		host, port = a, p
	}
	if host == "" {
		host = o.Host()
		port = strconv.Itoa(int(o.Addr.Port()))
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if port == defaultPort(scheme) {
		port = ""
	}
	switch {
	case port != "":
		return net.JoinHostPort(host, port)
	case strings.Contains(host, ":"):
		return "[" + host + "]"
	}
	return host
}

// defaultPort is the port that a URL of scheme leaves out.
func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}
