package testnet

import (
	"fmt"
	"net"
	"strings"

	"github.com/miekg/dns"
)

// nameServer answers for the zone, over UDP and TCP.
type nameServer struct {
	zone    zone
	queries *tally // "NAME TYPE udp", without the name's last dot
}

// ServeDNS answers one query. It never answers for Unheard.
func (s *nameServer) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	if len(query.Question) != 1 {
		reply := new(dns.Msg).SetRcode(query, dns.RcodeFormatError)
		_ = w.WriteMsg(reply) // the client is gone or will ask again
		return
	}
	q := query.Question[0]
	network := w.LocalAddr().Network()
	name := strings.ToLower(strings.TrimSuffix(q.Name, "."))
	s.queries.add(fmt.Sprintf("%s %s %s", name, dns.TypeToString[q.Qtype], network))

	reply := new(dns.Msg).SetReply(query)
	reply.RecursionAvailable = true // as the resolver of a provider says
	switch name {
	case Unheard:
		return
	case ServFail:
		reply.Rcode = dns.RcodeServerFailure
	default:
		s.zone.answer(reply, q)
	}
	room := dns.MinMsgSize
	if opt := query.IsEdns0(); opt != nil {
		room = max(room, int(opt.UDPSize()))
		reply.SetEdns0(1232, opt.Do()) // the size of DNS Flag Day 2020
	}
	if network == "udp" {
		reply.Truncate(room)
	} else {
		reply.Truncate(dns.MaxMsgSize)
	}
	_ = w.WriteMsg(reply)
}

// serveDNS runs s on l or on pc until r is closed.
func (r *rack) serveDNS(s *nameServer, l net.Listener, pc net.PacketConn) error {
	started := make(chan struct{})
	server := &dns.Server{Listener: l, PacketConn: pc, Handler: s, NotifyStartedFunc: func() { close(started) }}
	done := make(chan error, 1)
	r.running.Go(func() { done <- server.ActivateAndServe() })
	select {
	case <-started:
	case err := <-done:
		return fmt.Errorf("serve DNS: %w", err)
	}
	r.onClose(func() { _ = server.Shutdown() }) // what it says of is over
	return nil
}
