package testnet

import (
	"crypto/tls"
	"net/http"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// startQUIC serves handler over HTTP/3 on h's addresses, and returns one for the
// other versions that announces it.
func (r *rack) startQUIC(h Host, cert tls.Certificate, handler http.Handler) (http.Handler, error) {
	server := &http3.Server{
		Handler:    handler,
		TLSConfig:  http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{cert}}),
		QUICConfig: &quic.Config{EnableStreamResetPartialDelivery: true},
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
