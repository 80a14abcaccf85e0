// Command rawget sends what its standard input holds to an address and prints
// every byte that comes back, and how the connection ended.
//
//	rawget plain|tls HOST:PORT N INTERIM
//
// The input's first N bytes go at once; the rest when INTERIM, a Go string
// literal, has come back. It then reads until the other side has ended, or
// nothing comes for a fifth of a second.
package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"
)

func main() {
	head, err := strconv.Atoi(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	interim, err := strconv.Unquote(os.Args[4])
	if err != nil {
		log.Fatal(err)
	}
	in, err := io.ReadAll(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	c, err := dial(os.Args[1], os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	c.Write(in[:head])
	got := read(c, []byte(interim), 10*time.Second)
	os.Stdout.Write(got)
	if bytes.HasSuffix(got, []byte(interim)) {
		if len(in) > head { // an empty write would take a reset's error from the read
			c.Write(in[head:])
		}
		os.Stdout.Write(read(c, nil, 200*time.Millisecond))
	}
}

// dial connects, with TLS if how says so.
func dial(how, to string) (net.Conn, error) {
	if how == "plain" {
		return net.Dial("tcp", to)
	}
	return tls.Dial("tcp", to, &tls.Config{NextProtos: []string{"http/1.1"}})
}

// read reads until c ends, until has come (if not nil), or c is silent for long.
// How c ended is the last line.
func read(c net.Conn, until []byte, silent time.Duration) []byte {
	var all []byte
	b := make([]byte, 64<<10)
	for until == nil || !bytes.HasSuffix(all, until) {
		c.SetReadDeadline(time.Now().Add(silent))
		n, err := c.Read(b)
		all = append(all, b[:n]...)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Appendf(all, "\n(open)\n")
		case errors.Is(err, syscall.ECONNRESET):
			return fmt.Appendf(all, "\n(reset)\n")
		case err != nil:
			return fmt.Appendf(all, "\n(closed)\n")
		}
	}
	return all
}
