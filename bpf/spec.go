package bpf

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// Slots is how many IPv6 servers a target's datagrams can be told apart by, at most
// 24 of them others than name servers, and 12 others than QUIC's too: the length of
// Config.Packets6.
const Slots = 32

// Config is what the programs are told before they are loaded. Ports are those
// of sockets of ours on loopback; zero means there is none, and what would go
// there is refused.
type Config struct {
	Listener4 uint16        // TCP, 127.0.0.1
	Listener6 uint16        // TCP, ::1
	Packets4  uint16        // UDP, all of 127.128.0.0/9
	Packets6  [Slots]uint16 // UDP, ::1

	// Probe is an address in 127.0.0.0/8 that is always diverted, on every TCP
	// port, so that a probe which is not diverted stays on this host.
	Probe netip.Addr
	// Except are destinations left alone.
	Except []netip.Prefix
	// Loopback are TCP ports diverted though their address is a loopback one.
	Loopback []uint16
	// Resolvers are addresses whose port 53 is diverted, loopback, link-local
	// or in Except as they may be. Of the others, loopback's is left alone.
	Resolvers []netip.Addr
	// Hermetic refuses every packet that would leave by another device than lo.
	Hermetic bool
	// QUIC diverts UDP port 443 as it does 53; Queried tells which it was.
	QUIC bool
	// Network is the network namespace that our sockets are in, as one's
	// SO_NETNS_COOKIE tells it. Sockets in others are left alone. Zero is any.
	Network uint64
	// Pass is what UDP may leave of that which is not diverted, and QUIC apart.
	Pass []Pass
	// Pinned are destinations that UDP which may pass is diverted from, as to
	// port 53.
	Pinned []netip.Prefix
	// Source4 and Source6 are what connected UDP sockets that are diverted are
	// told that they send from. Without one Pinned's of its family are left alone:
	// the host has no route there.
	Source4, Source6 netip.Addr
	// Named tells the names of processes in Escapes. It needs CAP_PERFMON.
	Named bool
}

// A Pass is UDP that may leave: to the addresses To, anywhere if it is the zero
// Prefix, and the port Port, any if it is 0.
type Pass struct {
	To   netip.Prefix `json:"to,omitzero"`
	Port uint16       `json:"port,omitzero"`
}

// spec is the programs and maps as c wants them. It makes no system call.
func spec(c Config) (*ebpf.CollectionSpec, error) {
	s, err := loadDivert()
	if err != nil {
		return nil, fmt.Errorf("read the programs: %w", err)
	}
	var probe uint32
	if c.Probe.IsValid() {
		a := c.Probe.As4()
		probe = binary.BigEndian.Uint32(a[:])
	}
	source4, source6 := [4]uint32{}, [4]uint32{}
	if c.Source4.IsValid() {
		source4 = words(c.Source4)
	}
	if c.Source6.IsValid() {
		source6 = words(c.Source6)
	}
	for name, value := range map[string]any{
		divertVarListener4: c.Listener4,
		divertVarListener6: c.Listener6,
		divertVarPackets4:  c.Packets4,
		divertVarPackets6:  c.Packets6,
		divertVarProbe4:    probe,
		divertVarHermetic:  c.Hermetic,
		divertVarQuic:      c.QUIC,
		divertVarNetwork:   c.Network,
		divertVarSource4:   source4[3],
		divertVarSource6:   source6,
	} {
		if err := s.Variables[name].Set(value); err != nil {
			return nil, fmt.Errorf("set %s: %w", name, err)
		}
	}
	if !c.Named {
		unname(s)
	}
	yes := uint8(1)
	for _, p := range c.Except {
		fill(s.Maps[divertMapExcept], prefixKey(p), yes)
	}
	for _, p := range c.Pinned {
		fill(s.Maps[divertMapPinned], prefixKey(p), yes)
	}
	for _, p := range c.Pass {
		fill(s.Maps[divertMapPasses], passKey(p), yes)
	}
	for _, port := range c.Loopback {
		fill(s.Maps[divertMapLoopbackPorts], port, yes)
	}
	for _, a := range c.Resolvers {
		fill(s.Maps[divertMapResolvers], words(a), yes)
	}
	for _, m := range s.Maps {
		if n := len(m.Contents); n > int(m.MaxEntries) && m.MaxEntries > 0 {
			return nil, fmt.Errorf("%s: %d entries, %d fit", m.Name, n, m.MaxEntries)
		}
	}
	return s, nil
}

// fill adds one entry to what m holds once it is loaded.
func fill(m *ebpf.MapSpec, key, value any) {
	m.Contents = append(m.Contents, ebpf.MapKV{Key: key, Value: value})
}

// prefixKey is p in the mapped form.
func prefixKey(p netip.Prefix) divertPrefix {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	return divertPrefix{Len: uint32(bits), Addr: words(p.Masked().Addr())}
}

// unname takes out the calls that ask for a process's name. A setting would not do:
// without CAP_PERFMON the verifier follows the branch that is never taken, too.
func unname(s *ebpf.CollectionSpec) {
	for _, p := range s.Programs {
		for i, in := range p.Instructions {
			if in.IsBuiltinCall() && in.Constant == int64(asm.FnGetCurrentComm) {
				p.Instructions[i] = asm.Mov.Imm(asm.R0, 0).WithMetadata(in.Metadata)
			}
		}
	}
}

// passKey is p, whose port comes before the address: a prefix has it whole, or
// has any.
func passKey(p Pass) divertPass {
	k := divertPass{Port: uint32(p.Port)}
	if p.Port != 0 {
		k.Len = 32
	}
	if p.To.IsValid() {
		to := prefixKey(p.To)
		k.Len, k.Addr = 32+to.Len, to.Addr
	}
	return k
}

// words is a as the programs hold it: network order, IPv4 mapped.
func words(a netip.Addr) (w [4]uint32) {
	b := a.As16()
	for i := range w {
		w[i] = binary.NativeEndian.Uint32(b[i*4:])
	}
	return w
}

// address is the inverse of words; mapped addresses come out as IPv4.
func address(w [4]uint32) netip.Addr {
	var b [16]byte
	for i, v := range w {
		binary.NativeEndian.PutUint32(b[i*4:], v)
	}
	return netip.AddrFrom16(b).Unmap()
}

// addrPort is d with its port in host order.
func (d divertDestination) addrPort() netip.AddrPort {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], d.Port)
	return netip.AddrPortFrom(address(d.Addr), binary.BigEndian.Uint16(b[:]))
}
