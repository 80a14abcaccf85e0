package testnet

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
)

// site is one name of the web origin.
type site struct {
	name   string
	h2     bool
	h3     bool
	newest uint16 // the newest TLS version, 0: whatever Go has
	leaf   func(*Leaf)
}

// sites are the names under which the web origin is reached.
func sites() []site {
	return []site{
		{name: WWW},
		{name: V4Only},
		{name: V6Only},
		{name: Intranet},
		{name: H2, h2: true},
		{name: H3, h2: true},
		{name: QUIC, h2: true, h3: true},
		{name: TLS12, newest: tls.VersionTLS12},
		{name: SelfSigned, leaf: func(l *Leaf) { l.SelfSigned = true }},
		{name: Expired, leaf: func(l *Leaf) { l.Expired = true }},
		{name: WrongName, leaf: func(l *Leaf) { l.Names, l.Addrs = []string{"elsewhere." + Domain}, nil }},
	}
}

// startWeb serves the web origin under each of its names.
func (r *rack) startWeb() error {
	for _, s := range sites() {
		if err := r.startSite(s); err != nil {
			return err
		}
	}
	return nil
}

// startSite serves s on ports 80 and 443.
func (r *rack) startSite(s site) error {
	h := Lookup(s.name)
	leaf := Leaf{Names: []string{h.Name}, Addrs: h.Addrs()}
	if h.Name == WWW {
		leaf.Names = append(leaf.Names, Alias, Many)
	}
	if s.leaf != nil {
		s.leaf(&leaf)
	}
	cert, err := r.ca.Issue(leaf)
	if err != nil {
		return err
	}
	handler := r.routes(h.Name)
	if s.h3 {
		if handler, err = r.startQUIC(h, cert, handler); err != nil {
			return err
		}
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(s.h2)
	protocols.SetUnencryptedHTTP2(s.h2)
	server := &http.Server{
		Handler:   handler,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: s.newest},
		Protocols: protocols,
		ErrorLog:  log.New(io.Discard, "", 0), // handshakes that a test breaks
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				r.running.Add(1)
			case http.StateClosed, http.StateHijacked:
				r.running.Done()
			}
		},
	}
	plain, err := r.listeners(h, 80)
	if err != nil {
		return err
	}
	secure, err := r.listeners(h, 443)
	if err != nil {
		return err
	}
	for _, l := range plain {
		r.running.Go(func() { _ = server.Serve(l) }) // ErrServerClosed
	}
	for _, l := range secure {
		r.running.Go(func() { _ = server.ServeTLS(l, "", "") }) // ErrServerClosed
	}
	r.onClose(func() { _ = server.Close() }) // its listeners may be closed already
	return nil
}
