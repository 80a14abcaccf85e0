package bpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
)

// Maps are what the programs tell. Safe for concurrent use but for Close.
type Maps struct {
	byTuple, queried, refused, talks *ebpf.Map
}

// FDs returns the descriptors of the maps, for another process to OpenMaps.
// They stay ours.
func (m *Maps) FDs() []int {
	return []int{m.byTuple.FD(), m.queried.FD(), m.refused.FD(), m.talks.FD()}
}

// OpenMaps returns the maps whose descriptors are fds, in the order of FDs, and
// owns those, also if there is an error. It fails where this process may not
// look into them: without CAP_BPF it may since Linux 5.19, commit c8644cd0efe7.
func OpenMaps(fds []int) (*Maps, error) {
	m := new(Maps)
	all := []**ebpf.Map{&m.byTuple, &m.queried, &m.refused, &m.talks}
	if len(fds) != len(all) {
		return nil, fmt.Errorf("bpf: %d maps; want %d", len(fds), len(all))
	}
	var errs []error
	for i, to := range all {
		var err error
		if *to, err = ebpf.NewMapFromFD(fds[i]); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		if _, _, err := m.Queried(netip.AddrPort{}); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		m.Close()
		return nil, fmt.Errorf("bpf: open maps: %w", errors.Join(errs...))
	}
	return m, nil
}

// Close closes the descriptors. Twice is no error.
func (m *Maps) Close() error {
	var errs []error
	for _, o := range []*ebpf.Map{m.byTuple, m.queried, m.refused, m.talks} {
		errs = append(errs, o.Close()) // of none, too
	}
	return errors.Join(errs...)
}

// An Origin is what a diverted socket asked for, and who asked.
type Origin struct {
	Dst    netip.AddrPort
	PID    int // as the initial pid namespace counts
	UID    int // as the initial user namespace counts
	Cgroup uint64
}

// Original takes out what the client of an accepted connection asked for. It
// returns false for a client that was not diverted: it connected to us itself.
func (m *Maps) Original(client, listener netip.AddrPort) (Origin, bool, error) {
	key := divertTuple{
		Client:     words(client.Addr()),
		ClientPort: client.Port(),
		Listener:   listener.Port(),
	}
	var o divertOrigin
	err := m.byTuple.LookupAndDelete(&key, &o)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return Origin{}, false, nil
	}
	if err != nil {
		return Origin{}, false, fmt.Errorf("bpf: original destination of %s: %w", client, err)
	}
	return Origin{Dst: o.Dst.addrPort(), PID: int(o.Pid), UID: int(o.Uid), Cgroup: o.Cgroup}, true, nil
}

// Queried returns which server a datagram was sent to that arrived at at,
// one of our packet sockets, and false if it was not diverted there.
func (m *Maps) Queried(at netip.AddrPort) (netip.AddrPort, bool, error) {
	key := uint32(at.Port())
	if a := at.Addr().Unmap(); a.Is4() {
		b := a.As4()
		key = uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	}
	var d divertDestination
	err := m.queried.Lookup(&key, &d)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return netip.AddrPort{}, false, nil
	}
	if err != nil {
		return netip.AddrPort{}, false, fmt.Errorf("bpf: server behind %s: %w", at, err)
	}
	return d.addrPort(), true, nil
}

// Why says why a packet or a connect was refused.
type Why uint8

// The reasons, as divert.h numbers them.
const (
	QUIC     Why = 1 // UDP port 443
	Hermetic Why = 2
	Datagram Why = 3 // UDP that Config.Pass does not have
	Passed   Why = 4 // UDP that it has, or TCP of another network namespace: it was not refused
)

// An Escape is what was tried and refused, or was UDP that passed, by whom, and
// how often.
type Escape struct {
	Dst      netip.AddrPort // port 0 where the protocol has none
	Protocol uint8          // IPPROTO_*
	Why      Why
	PID      int    // as the initial pid namespace counts; 0 if it cannot be told
	Command  string // the process's name then, "" if it cannot be told
	Count    uint64 // packets, or connects
}

// Escapes returns what was refused or passed since Load, in no order; of more than a
// thousand the ones counted longest ago are forgotten.
func (m *Maps) Escapes() ([]Escape, error) {
	var all []Escape
	var key divertEscape
	var n divertEscaped
	it := m.refused.Iterate()
	for it.Next(&key, &n) {
		all = append(all, Escape{Dst: key.Dst.addrPort(), Protocol: key.Protocol, Why: Why(key.Why),
			PID: int(key.Pid), Command: text(n.Command), Count: n.Count})
	}
	if err := it.Err(); err != nil {
		return all, fmt.Errorf("bpf: read what was refused: %w", err)
	}
	return all, nil
}

// text is a string of C's, as it lies in memory.
func text(words [4]uint32) string {
	var b []byte
	for _, w := range words {
		b = binary.NativeEndian.AppendUint32(b, w)
	}
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}

// A Talk is a destination on loopback that was left alone.
type Talk struct {
	Dst      netip.AddrPort
	Protocol uint8 // IPPROTO_TCP or IPPROTO_UDP
	// Made counts connections established by the hooked cgroup, and datagrams
	// and connects of UDP; Accepted the connections that it accepted there. Of
	// two that are equal nobody outside took part.
	Made, Accepted uint64
}

// Talks returns what was talked to on loopback since Load, in no order; of more
// than a thousand the ones used longest ago are forgotten.
func (m *Maps) Talks() ([]Talk, error) {
	var all []Talk
	var key divertTalk
	var n divertTalked
	it := m.talks.Iterate()
	for it.Next(&key, &n) {
		all = append(all, Talk{Dst: key.Dst.addrPort(), Protocol: key.Protocol, Made: n.Made, Accepted: n.Accepted})
	}
	if err := it.Err(); err != nil {
		return all, fmt.Errorf("bpf: read what was talked to: %w", err)
	}
	return all, nil
}
