//go:build linux

package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/serge-net/serge-net/certs"
)

// Where the origin is: addresses for documentation (RFC 5737, RFC 3849).
const (
	originV4   = "203.0.113.10"
	originV6   = "2001:db8:113::10"
	originDNS  = "203.0.113.53"
	originName = "api.vm.example"
)

// urls are what the client asks: by name, by address of both families, with and
// without TLS.
func urls() []string {
	return []string{
		"https://" + originName + "/by-name", "http://" + originName + "/in-the-clear",
		"http://" + originV4 + "/by-address", "http://[" + originV6 + "]/by-address",
	}
}

// An origin answers each request with a number of its own: no two answers are
// alike, so that a replayed one is known.
type origin struct {
	ca   *certs.CA
	leaf tls.Certificate

	asked   atomic.Int64
	servers []io.Closer
	done    sync.WaitGroup
}

// newOrigin makes an origin that does not serve yet.
func newOrigin() (*origin, error) {
	o := new(origin)
	var err error
	if o.ca, err = certs.NewCA(); err != nil {
		return nil, err
	}
	leaf, err := o.ca.Leaf(originName, nil)
	if err != nil {
		return nil, err
	}
	o.leaf = *leaf
	return o, nil
}

// start serves until stop.
func (o *origin) start() error {
	o.asked.Store(0)
	for _, addr := range []string{originV4, "[" + originV6 + "]"} {
		plain, err := net.Listen("tcp", addr+":80")
		if err != nil {
			o.stop()
			return err
		}
		secure, err := tls.Listen("tcp", addr+":443", &tls.Config{Certificates: []tls.Certificate{o.leaf}, NextProtos: []string{"h2", "http/1.1"}})
		if err != nil {
			plain.Close()
			o.stop()
			return err
		}
		s := &http.Server{Handler: o}
		o.servers = append(o.servers, s)
		o.done.Go(func() { s.Serve(plain) })
		o.done.Go(func() { s.Serve(secure) })
	}
	pc, err := net.ListenPacket("udp", originDNS+":53")
	if err != nil {
		o.stop()
		return err
	}
	ready := make(chan struct{})
	d := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(resolve), NotifyStartedFunc: func() { close(ready) }}
	o.servers = append(o.servers, closer(d.Shutdown))
	o.done.Go(func() { d.ActivateAndServe() })
	<-ready
	return nil
}

// closer is a function that closes.
type closer func() error

func (c closer) Close() error { return c() }

// stop ends what serves, and returns how often it was asked.
func (o *origin) stop() int {
	for _, s := range o.servers {
		s.Close()
	}
	o.done.Wait()
	o.servers = nil
	return int(o.asked.Load())
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := o.asked.Add(1)
	fmt.Fprintf(w, "%s %d at %s\n", r.URL.Path, n, time.Now().Format(time.RFC3339Nano))
}

// resolve answers the one name that there is.
func resolve(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	if len(q.Question) != 1 || !strings.EqualFold(q.Question[0].Name, originName+".") {
		m.Rcode = dns.RcodeNameError
		w.WriteMsg(m)
		return
	}
	h := dns.RR_Header{Name: q.Question[0].Name, Rrtype: q.Question[0].Qtype, Class: dns.ClassINET, Ttl: 60}
	switch q.Question[0].Qtype {
	case dns.TypeA:
		m.Answer = []dns.RR{&dns.A{Hdr: h, A: net.ParseIP(originV4)}}
	case dns.TypeAAAA:
		m.Answer = []dns.RR{&dns.AAAA{Hdr: h, AAAA: net.ParseIP(originV6)}}
	}
	w.WriteMsg(m)
}

// clientRole is the argument with which this program is the client.
const clientRole = "client"

// client gets every URL, as any Go program does, and prints the answers. It
// returns its exit code.
func client(urls []string) int {
	c := http.Client{Timeout: patience / 2}
	for _, u := range urls {
		r, err := c.Get(u)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		_, err = io.Copy(os.Stdout, r.Body)
		r.Body.Close()
		if err != nil || r.StatusCode != http.StatusOK {
			fmt.Fprintln(os.Stderr, u, r.Status, err)
			return 1
		}
	}
	return 0
}
