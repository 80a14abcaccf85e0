package redirect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/bpf"
)

// agentVersion is that of the protocol between a client and its agent: packets
// of JSON on a SOCK_SEQPACKET socket, one reply to each request. Any change to
// the types below is a new version: unknown fields are refused.
const agentVersion = 3

// What a client asks. Open and place come first, in this order and once; the
// rest as often as it likes.
const (
	askOpen     = "open"     // load hooks for Target; with the lane's sockets
	askPlace    = "place"    // put init, whose pidfd it brings, into a cgroup that has the hooks
	askOriginal = "original" // bpf.Maps.Original of Client and Listener
	askQueried  = "queried"  // bpf.Maps.Queried of At
	askEscapes  = "escapes"
	askTalks    = "talks"
	askKill     = "kill" // all of the cgroup
	askEnd      = "end"  // kill, and remove it
)

// Limits of one request. A client that goes beyond is sent away.
const (
	maxRequest   = 128 << 10                 // bytes
	maxSockets   = 2 + 1 + bpf.Slots         // listeners, and packet sockets of both families
	maxExcept    = 1024                      // prefixes
	maxLoopback  = 1024                      // ports
	maxResolvers = 64                        // addresses
	maxPass      = 1024                      // kinds of datagrams
	maxPinned    = 64                        // prefixes
	maxReply     = 256 << 10                 // bytes: a thousand escapes of a hundred
	rightsSpace  = unix.SizeofCmsghdr + 4*64 // descriptors of one packet, rounded up
)

// A request is what a client asks of its agent.
type request struct {
	Version  int            `json:"version"`
	Ask      string         `json:"ask"`
	Target   *agentTarget   `json:"target,omitempty"`  // open
	Client   netip.AddrPort `json:"client,omitzero"`   // original
	Listener netip.AddrPort `json:"listener,omitzero"` // original
	At       netip.AddrPort `json:"at,omitzero"`       // queried
}

// An agentTarget is what hooks are told by the client. The ports of its sockets
// are not said: the agent reads them from the sockets themselves.
type agentTarget struct {
	Probe     netip.Addr     `json:"probe"`
	Except    []netip.Prefix `json:"except,omitempty"`
	Loopback  []uint16       `json:"loopback,omitempty"`
	Resolvers []netip.Addr   `json:"resolvers,omitempty"`
	Hermetic  bool           `json:"hermetic,omitempty"`
	QUIC      bool           `json:"quic,omitempty"`
	Pass      []bpf.Pass     `json:"pass,omitempty"`
	Pinned    []netip.Prefix `json:"pinned,omitempty"`
	Source4   netip.Addr     `json:"source4,omitzero"`
	Source6   netip.Addr     `json:"source6,omitzero"`
}

// A reply is what the agent answers. The maps, in the order of bpf.Maps.FDs, are
// beside that to open.
type reply struct {
	Version int            `json:"version"`
	Err     string         `json:"err,omitempty"`
	Hint    string         `json:"hint,omitempty"`
	Cgroup  string         `json:"cgroup,omitempty"` // place
	Found   bool           `json:"found,omitempty"`  // original, queried
	Origin  bpf.Origin     `json:"origin,omitzero"`
	Server  netip.AddrPort `json:"server,omitzero"` // queried
	Escapes []bpf.Escape   `json:"escapes,omitempty"`
	Talks   []bpf.Talk     `json:"talks,omitempty"`
}

// errRequest is wrapped where a request is none of this protocol.
var errRequest = errors.New("not a request")

// parseRequest reads what a client sent, and checks all of it that can be
// checked without the kernel.
func parseRequest(b []byte) (request, error) {
	var q request
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		if q.Version != agentVersion && q.Version != 0 {
			return q, versionError(q.Version)
		}
		return q, fmt.Errorf("%w: %w", errRequest, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return q, fmt.Errorf("%w: more than one value", errRequest)
	}
	if q.Version != agentVersion {
		return q, versionError(q.Version)
	}
	switch q.Ask {
	case askOpen:
		if q.Target == nil {
			return q, fmt.Errorf("%w: open without a target", errRequest)
		}
		return q, q.Target.check()
	case askOriginal:
		if !q.Client.IsValid() || !q.Listener.IsValid() {
			return q, fmt.Errorf("%w: original without addresses", errRequest)
		}
	case askQueried:
		if !q.At.IsValid() {
			return q, fmt.Errorf("%w: queried without an address", errRequest)
		}
	case askPlace, askEscapes, askTalks, askKill, askEnd:
	default:
		return q, fmt.Errorf("%w: ask %.20q", errRequest, q.Ask)
	}
	return q, nil
}

// versionError is for a client of version v.
func versionError(v int) error {
	return &HintError{
		Err:  fmt.Errorf("%w: version %d of the protocol, the agent has %d", errRequest, v, agentVersion),
		Hint: "let agent and client be the same version of serge-net: sudo systemctl restart serge-net-agent",
	}
}

// check holds t to its limits.
func (t *agentTarget) check() error {
	if !t.Probe.Is4() || !t.Probe.IsLoopback() {
		return fmt.Errorf("%w: probe %s", errRequest, t.Probe)
	}
	if len(t.Except) > maxExcept || len(t.Loopback) > maxLoopback || len(t.Resolvers) > maxResolvers {
		return &HintError{
			Err: fmt.Errorf("%w: %d prefixes, %d ports, %d name servers; at most %d, %d, %d",
				errRequest, len(t.Except), len(t.Loopback), len(t.Resolvers), maxExcept, maxLoopback, maxResolvers),
			Hint: "make --bypass shorter",
		}
	}
	for _, p := range slices.Concat(t.Except, t.Pinned) {
		if !p.IsValid() {
			return fmt.Errorf("%w: an empty prefix", errRequest)
		}
	}
	if len(t.Pass) > maxPass || len(t.Pinned) > maxPinned {
		return &HintError{
			Err:  fmt.Errorf("%w: %d kinds of datagrams, %d prefixes; at most %d, %d", errRequest, len(t.Pass), len(t.Pinned), maxPass, maxPinned),
			Hint: "make --udp shorter",
		}
	}
	if t.Source4.IsValid() && !t.Source4.Is4() || t.Source6.IsValid() && !t.Source6.Is6() {
		return fmt.Errorf("%w: sources %s and %s", errRequest, t.Source4, t.Source6)
	}
	for _, a := range t.Resolvers {
		if !a.IsValid() {
			return fmt.Errorf("%w: an empty address", errRequest)
		}
	}
	return nil
}

// readPacket reads one packet into b, and the descriptors beside it, which the
// caller owns, also if there is an error. They are numbers, not files: what they
// are open on is shared with the sender, and is left as it is.
func readPacket(c *net.UnixConn, b []byte) ([]byte, []int, error) {
	oob := make([]byte, rightsSpace)
	n, oobn, flags, _, err := c.ReadMsgUnix(b, oob)
	if err != nil {
		return nil, nil, err
	}
	fds, err := rights(oob[:oobn])
	switch {
	case err != nil:
		return nil, fds, err
	case flags&unix.MSG_CTRUNC != 0:
		return nil, fds, fmt.Errorf("%w: too many descriptors", errRequest)
	case flags&unix.MSG_TRUNC != 0:
		return nil, fds, fmt.Errorf("%w: more than %d bytes", errRequest, len(b))
	case n == 0 && len(fds) == 0:
		return nil, nil, io.EOF
	}
	return b[:n], fds, nil
}

// rights are the descriptors in control messages.
func rights(oob []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRequest, err)
	}
	var fds []int
	for _, m := range messages {
		if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SCM_RIGHTS {
			continue
		}
		more, err := unix.ParseUnixRights(&m)
		if err != nil {
			return fds, fmt.Errorf("%w: %w", errRequest, err)
		}
		fds = append(fds, more...)
	}
	return fds, nil
}

// writePacket writes v as JSON with copies of fds beside it.
func writePacket(c *net.UnixConn, v any, fds []int) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	_, _, err = c.WriteMsgUnix(b, oob, nil)
	return err
}

// closeAll closes fds.
func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// refusal is err as the client is told it.
func refusal(err error) reply {
	r := reply{Version: agentVersion, Err: err.Error()}
	r.Err = r.Err[:min(len(r.Err), maxMessage)]
	var h *HintError
	if errors.As(err, &h) {
		r.Hint = h.Hint
	}
	return r
}
