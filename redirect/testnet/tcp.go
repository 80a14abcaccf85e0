package testnet

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
)

// Banner is what port 25 of TCP says before the client says anything.
const Banner = "220 tcp.test.example ESMTP testnet\r\n"

// startTCP serves the raw ports of TCP: 7, 25 and 992.
func (r *rack) startTCP() error {
	h := Lookup(TCP)
	cert, err := r.ca.Issue(Leaf{Names: []string{h.Name}, Addrs: h.Addrs()})
	if err != nil {
		return err
	}
	secure := &tls.Config{Certificates: []tls.Certificate{cert}}
	for _, p := range []struct {
		port   uint16
		handle func(net.Conn)
	}{
		{7, echo},
		{25, greet},
		{992, func(c net.Conn) { echo(tls.Server(c, secure)) }},
	} {
		ls, err := r.listeners(h, p.port)
		if err != nil {
			return err
		}
		key := fmt.Sprintf("%s:%d", h.Name, p.port)
		for _, l := range ls {
			r.serveConns(l, func(c net.Conn) {
				r.hits.add(key)
				p.handle(c)
			})
		}
	}
	return nil
}

// echo returns what c sends, until c sends no more; then it sends no more either.
func echo(c net.Conn) {
	if _, err := io.Copy(c, c); err != nil {
		return
	}
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite() // the client may have reset meanwhile
	}
}

// greet is a server that speaks first, a little like SMTP: it answers every
// line with 250 and the line in upper case, and QUIT with 221 and a close.
func greet(c net.Conn) {
	if _, err := io.WriteString(c, Banner); err != nil {
		return
	}
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		line := strings.ToUpper(lines.Text())
		if line == "QUIT" {
			_, _ = io.WriteString(c, "221 bye\r\n") // the connection ends either way
			return
		}
		if _, err := fmt.Fprintf(c, "250 %s\r\n", line); err != nil {
			return
		}
	}
}
