package testnet

import (
	"crypto/tls"
	"io"
	"net/http"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// startQUIC serves handler over HTTP/3 on h's addresses, with tunnels of
// WebTransport at /transport, and returns one for the other versions that announces
// it.
func (r *rack) startQUIC(h Host, cert tls.Certificate, handler http.Handler) (http.Handler, error) {
	routes := http.NewServeMux()
	routes.Handle("/", handler)
	routes.HandleFunc("CONNECT /transport", echoTunnel)
	const webTransport, maxSessions = 0x2c7cf000, 0x14e9cd29 // draft-ietf-webtrans-http3-15, section 8.2
	server := &http3.Server{
		Handler:            routes,
		TLSConfig:          http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{cert}}),
		QUICConfig:         &quic.Config{EnableStreamResetPartialDelivery: true},
		EnableDatagrams:    true,
		AdditionalSettings: map[uint64]uint64{webTransport: 1, maxSessions: 1},
	}
	for _, a := range h.Addrs() {
		pc, err := r.packets(h, a, 443)
		if err != nil {
			return nil, err
		}
		r.running.Go(func() { _ = server.Serve(pc) }) // ErrServerClosed
	}
	r.onClose(func() { _ = server.Close() }) // its connections may be closed already
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Alt-Svc", `h3=":443"; ma=86400`)
		handler.ServeHTTP(w, req)
	}), nil
}

// echoTunnel opens a tunnel and returns the first datagram that comes by it.
func echoTunnel(w http.ResponseWriter, req *http.Request) {
	streamer, ok := w.(http3.HTTPStreamer)
	if !ok { // another version
		http.Error(w, "not by "+req.Proto, http.StatusNotImplemented)
		return
	}
	w.WriteHeader(http.StatusOK)
	s, err := streamer.HTTPStream()
	if err != nil {
		return
	}
	defer s.Close()
	if b, err := s.ReceiveDatagram(req.Context()); err == nil {
		_ = s.SendDatagram(b) // lost, as datagrams may be
	}
	_, _ = io.Copy(io.Discard, s) // until the client leaves
}
