package cassette

import (
	"cmp"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// Failure says why a request got no response, or why a connection could not be
// made that requests would have gone over.
type Failure struct {
	// Kind is what the client saw, an exchange.How in its word: "dns",
	// "connection_refused", "connect_timeout", "unreachable", "tls", "reset",
	// "truncated", "protocol", "read_timeout". A kind that is not known is played
	// as "reset".
	Kind  string
	Phase exchange.Phase
	Errno string // "ECONNREFUSED"; "" if no call of the system failed
	Code  uint32 // HTTP/2: that of RST_STREAM; "tls": the alert's number
	Cause string
	Raw   []byte        // what came of a head that was cut, or is none
	After time.Duration // since the request began
}

// failureOf is the failure that e, the end of an answer without a head, tells of.
func failureOf(e *exchange.End, raw []byte, after time.Duration) *Failure {
	return &Failure{e.How.String(), e.Phase, e.Errno, e.Code, e.Err, raw, cmp.Or(e.Wait, after)}
}

// end is how an answer ends in f's place.
func (f *Failure) end() *exchange.End {
	how, ok := exchange.HowOf(f.Kind)
	if !ok || how == exchange.Complete {
		how = exchange.Reset
	}
	conn := f.Phase == "" && (how == exchange.Truncated || how == exchange.Reset && f.Errno != "")
	return &exchange.End{How: how, Code: f.Code, Err: f.Cause, Phase: f.Phase, Errno: f.Errno, Wait: f.After, Conn: conn}
}

// node is f as it stands in the file.
func (f *Failure) node() *node {
	n := (&node{}).add("kind", strNode(f.Kind)).addString("phase", string(f.Phase)).addString("errno", f.Errno)
	switch {
	case f.Code == 0:
	case f.Kind == exchange.TLSAlert.String():
		n.add("alert", intNode(f.Code))
	default:
		n.add("code", intNode(f.Code))
	}
	n.addString("cause", valid(f.Cause))
	if len(f.Raw) > 0 {
		n.add("raw", bytesNode(string(f.Raw)))
	}
	return n
}

// readFailure is the inverse of node.
func readFailure(n *node, after time.Duration) *Failure {
	return &Failure{
		Kind: n.text("kind"), Phase: exchange.Phase(n.text("phase")), Errno: n.text("errno"),
		Code: uint32(n.number("code") + n.number("alert")), Cause: n.text("cause"),
		Raw: []byte(n.get("raw").bytes()), After: after,
	}
}

// Connects says whether i is the record of a connection that failed before
// anything was asked: its request is a CONNECT to a tcp URL, with host and port.
func (i *Interaction) Connects() bool {
	return i.Failure != nil && i.Request.Method == "CONNECT" && strings.HasPrefix(i.Request.URL, "tcp://")
}

// endpoint is the host and port that i was recorded with.
func (u *rules) endpoint(i *Interaction) string {
	if c := i.Connection; c.Host != "" {
		return u.endpointAt(c.Host, c.Port)
	}
	to, err := url.Parse(i.Request.URL)
	if err != nil {
		return ""
	}
	port, _ := strconv.ParseUint(to.Port(), 10, 16)
	if port == 0 {
		port = map[string]uint64{"http": 80, "https": 443}[to.Scheme]
	}
	return u.endpointAt(to.Hostname(), uint16(port))
}

// endpointAt is how host and port are told apart from others.
func (u *rules) endpointAt(host string, port uint16) string {
	return net.JoinHostPort(u.aliased("", strings.ToLower(host)), strconv.Itoa(int(port)))
}

// A queue is what was recorded with one host and port, in order. Connections
// that failed take their turn in it: each when all before it was served.
type queue struct {
	slots []*slot
	fails int // how many of them are connections that failed
	at    int // the first that was not served, as far as is known; guarded by Player.mu
}

// queues are those in which a connection failed, by endpoint.
func queues(slots []*slot, u *rules) map[string]*queue {
	all := map[string]*queue{}
	for _, s := range slots {
		if s.it.Connects() {
			all[u.endpoint(s.it)] = &queue{}
		}
	}
	if len(all) == 0 {
		return nil
	}
	for _, s := range slots {
		q := all[u.endpoint(s.it)]
		if q == nil {
			continue
		}
		q.slots = append(q.slots, s)
		if s.it.Connects() {
			q.fails++
		}
	}
	return all
}

// Fail implements exchange.Player. A failed connection is due when everything
// that was recorded with its host and port before it was served, and once only;
// but if nothing was recorded after it, it stays so, as it does for requests,
// unless PlayOptions.Repeat says otherwise.
func (p *Player) Fail(o exchange.Origin) (exchange.End, bool) {
	q := p.queues[p.rules.endpointAt(o.Host(), o.Addr.Port())]
	if q == nil {
		return exchange.End{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for q.at < len(q.slots) && p.served[q.slots[q.at].nth] > 0 {
		q.at++
	}
	next := q.at
	if next == len(q.slots) {
		if p.opt.Repeat == RepeatNever {
			return exchange.End{}, false
		}
		next--
	}
	s := q.slots[next]
	if !s.it.Connects() || s.it.Failure.Phase == exchange.PhaseTLS && !o.TLS {
		return exchange.End{}, false
	}
	p.served[s.nth]++
	p.tally.Served++
	p.tally.Exact++
	return *s.it.Failure.end(), true
}
