// Command h3get asks for each URL in its arguments over HTTP/3, all at once, and
// prints the answers in their order: version, status, trailers and body, or how
// the body ended. -d sends a body, -6 goes by IPv6, -dial connects.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

func main() {
	body := flag.String("d", "", "")
	six := flag.Bool("6", false, "")
	connected := flag.Bool("dial", false, "connect the socket")
	flag.Parse()
	family := "udp4"
	if *six {
		family = "udp6"
	}
	t := &http3.Transport{
		QUICConfig: &quic.Config{EnableStreamResetPartialDelivery: true},
		Dial: func(ctx context.Context, addr string, tc *tls.Config, qc *quic.Config) (*quic.Conn, error) {
			to, err := net.ResolveUDPAddr(family, addr)
			if err != nil {
				return nil, err
			}
			var pc net.PacketConn
			if *connected {
				c, err := net.DialUDP(family, nil, to)
				if err != nil {
					return nil, err
				}
				pc = dialled{c}
			} else if pc, err = net.ListenPacket(family, ":0"); err != nil {
				return nil, err
			}
			return quic.Dial(ctx, pc, to, tc, qc)
		},
	}
	defer t.Close()
	answers := make([]bytes.Buffer, flag.NArg())
	var asking sync.WaitGroup
	for i, url := range flag.Args() {
		asking.Go(func() { ask(t, &answers[i], url, *body) })
	}
	asking.Wait()
	for _, a := range answers {
		fmt.Print(a.String())
	}
}

// dialled is a connected socket, which takes no address to send to.
type dialled struct{ c *net.UDPConn }

func (d dialled) ReadFrom(b []byte) (int, net.Addr, error) { return d.c.ReadFrom(b) }

func (d dialled) WriteTo(b []byte, _ net.Addr) (int, error) { return d.c.Write(b) }

func (d dialled) Close() error { return d.c.Close() }

func (d dialled) LocalAddr() net.Addr { return d.c.LocalAddr() }

func (d dialled) SetDeadline(t time.Time) error { return d.c.SetDeadline(t) }

func (d dialled) SetReadDeadline(t time.Time) error { return d.c.SetReadDeadline(t) }

func (d dialled) SetWriteDeadline(t time.Time) error { return d.c.SetWriteDeadline(t) }

// ask asks for url and writes what comes.
func ask(t *http3.Transport, w io.Writer, url, body string) {
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	res, err := t.RoundTrip(req)
	if err != nil {
		fmt.Fprintf(w, "error: %v\n", err)
		return
	}
	defer res.Body.Close()
	fmt.Fprintf(w, "%s %d %s\n", res.Proto, res.StatusCode, url)
	if _, err := io.Copy(w, res.Body); err != nil {
		fmt.Fprintf(w, "cut: %v\n", err)
	}
	for name, values := range res.Trailer {
		fmt.Fprintf(w, "trailer %s: %s\n", name, values)
	}
}
