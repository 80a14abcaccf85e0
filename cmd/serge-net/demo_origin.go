package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"github.com/miekg/dns"

	"github.com/serge-net/serge-net/certs"
	"github.com/serge-net/serge-net/dnsstub"
)

// demoHost is the demo's origin, in a domain that never exists (RFC 6761).
const demoHost = "api.demo.example"

// A demoOrigin is a web server and the DNS server that knows it, on loopback.
type demoOrigin struct {
	ca      *certs.CA
	hits    atomic.Int64
	awaited sync.Map // func() by path
	plain   net.Listener
	secure  net.Listener
	packet  net.PacketConn
	http    http.Server
	https   http.Server
	dns     dns.Server
	once    sync.Once
	done    sync.WaitGroup
}

// startDemoOrigin starts all of it. The caller stops it.
func startDemoOrigin() (*demoOrigin, error) {
	o := new(demoOrigin)
	var err error
	if o.ca, err = certs.NewCA(); err != nil {
		return nil, err
	}
	cert, err := o.ca.Leaf(demoHost, nil)
	if err != nil {
		return nil, err
	}
	if o.plain, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	if o.secure, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	if o.packet, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	o.http = http.Server{Handler: o.handler()}
	o.https = http.Server{Handler: o.handler(), TLSConfig: &tls.Config{Certificates: []tls.Certificate{*cert}}}
	ready := make(chan struct{})
	o.dns = dns.Server{PacketConn: o.packet, Handler: dns.HandlerFunc(answerDemo), NotifyStartedFunc: func() { close(ready) }}
	o.done.Go(func() { o.http.Serve(o.plain) })
	o.done.Go(func() { o.https.ServeTLS(o.secure, "", "") })
	o.done.Go(func() { o.dns.ActivateAndServe() })
	<-ready
	return o, nil
}

// stop stops it; twice is no error.
func (o *demoOrigin) stop() {
	o.once.Do(func() {
		o.http.Close()
		o.https.Close()
		o.dns.Shutdown()
		o.done.Wait()
	})
}

// url is the URL of path.
func (o *demoOrigin) url(scheme, path string) string {
	l := o.plain
	if scheme == "https" {
		l = o.secure
	}
	return fmt.Sprintf("%s://%s:%d%s", scheme, demoHost, l.Addr().(*net.TCPAddr).Port, path)
}

// conf is the resolver configuration under which the origin is found.
func (o *demoOrigin) conf() *dnsstub.Conf {
	return &dnsstub.Conf{Servers: []netip.AddrPort{o.packet.LocalAddr().(*net.UDPAddr).AddrPort()}}
}

// await has told be called when there is a request for path or below it, each
// time. stop ends that.
func (o *demoOrigin) await(path string, told func()) (stop func()) {
	o.awaited.Store(path, told)
	return func() { o.awaited.Delete(path) }
}

// tell tells who awaits path.
func (o *demoOrigin) tell(path string) {
	o.awaited.Range(func(p, told any) bool {
		if rest, ok := strings.CutPrefix(path, p.(string)); ok && (rest == "" || rest[0] == '/') {
			told.(func())()
		}
		return true
	})
}

// handler answers the demo's requests.
func (o *demoOrigin) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `[{"id":1,"name":"ada"},{"id":2,"name":"grace"}]`+"\n")
	})
	mux.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, "{\"id\":%q,\"seen\":%q}\n", r.PathValue("id"), time.Now().Format(time.RFC3339Nano))
	})
	mux.HandleFunc("POST /users", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusCreated)
		io.Copy(w, r.Body)
	})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: event %d at %s\n\n", i+1, time.Now().Format(time.RFC3339Nano))
			w.(http.Flusher).Flush()
		}
	})
	mux.HandleFunc("GET /chat", greet)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.hits.Add(1)
		o.tell(r.URL.Path)
		mux.ServeHTTP(w, r)
	})
}

// greet greets who says a name in a WebSocket, as often as one is said.
func greet(w http.ResponseWriter, r *http.Request) {
	c, err := new(websocket.Upgrader).Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	defer c.Close()
	for {
		_, name, err := c.ReadMessage()
		if err != nil || c.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, "hello %s, it is %s", name, time.Now().Format(time.RFC3339Nano))) != nil {
			return
		}
	}
}

// answerDemo is the DNS server: the one name has one address.
func answerDemo(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	if len(q.Question) != 1 || dns.CanonicalName(q.Question[0].Name) != demoHost+"." {
		m.Rcode = dns.RcodeNameError
	} else if q.Question[0].Qtype == dns.TypeA {
		m.Answer = []dns.RR{&dns.A{
			Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60},
			A:   loopback,
		}}
	}
	w.WriteMsg(m)
}
