package mitm

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// errNotAbsolute is for a request that a proxy cannot tell the origin of.
var errNotAbsolute = errors.New("this is serge-net's proxy, and no web server: name it to the client as its HTTP or SOCKS5 proxy")

// aim cuts the target of a request in absolute form (RFC 9112 section 3.2.2)
// into the authority, without the user that may stand in it, and the target in
// origin form.
func aim(method, target string) (authority, rest string, err error) {
	scheme, after, ok := strings.Cut(target, "://")
	switch {
	case !ok || strings.HasPrefix(target, "/"):
		return "", "", errNotAbsolute
	case strings.EqualFold(scheme, "https"):
		return "", "", errors.New("a proxy is asked for https by CONNECT, not by a request in clear text")
	case !strings.EqualFold(scheme, "http"):
		return "", "", fmt.Errorf("the scheme %q is not http", scheme)
	}
	end := strings.IndexAny(after, "/?#")
	if end < 0 {
		end = len(after)
	}
	authority, rest = after[:end], after[end:]
	authority = authority[strings.LastIndexByte(authority, '@')+1:]
	switch {
	case rest == "" && method == "OPTIONS":
		rest = "*"
	case !strings.HasPrefix(rest, "/"):
		rest = "/" + rest
	}
	return authority, rest, nil
}

// hostPort80 is the host and port of an authority of http.
func hostPort80(authority string) (host string, port uint16, err error) {
	host, service, err := net.SplitHostPort(authority)
	if err != nil { // without a port
		return strings.Trim(authority, "[]"), 80, nil
	}
	if service == "" {
		return host, 80, nil
	}
	n, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("authority %q: %w", authority, err)
	}
	return host, uint16(n), nil
}

// toOrigin is a request's head, as it was read, in the form in which the client
// would have sent it to the origin: with the target rest, with authority as
// Host, and without the fields that are for the proxy and the empty lines in
// front. All else keeps its bytes.
func toOrigin(h *exchange.Head, head []byte, authority, rest string) []byte {
	out := make([]byte, 0, len(head)+len(authority))
	for line := range bytes.Lines(bytes.TrimLeft(head, "\r\n")) {
		if i := bytes.Index(line, []byte(h.Target)); len(out) == 0 && i >= 0 {
			out = append(append(append(out, line[:i]...), rest...), line[i+len(h.Target):]...)
			if _, ok := exchange.Get(h.Fields, "Host"); !ok {
				out = append(append(append(out, "Host: "...), authority...), "\r\n"...)
			}
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch strings.ToLower(string(name)) {
		case "proxy-connection", "proxy-authorization":
			continue
		case "host":
			// The target goes before Host (RFC 9112 section 3.2.2).
			if was := strings.TrimSpace(string(value)); !strings.EqualFold(was, authority) {
				line = bytes.Join([][]byte{name, []byte(": " + authority + "\r\n")}, nil)
			}
		}
		out = append(out, line...)
	}
	return out
}
