package redirect

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The parts that rules are made of: nft(8), without its parser. Register 1 is
// for what is compared; registers from keyRegister on are for set keys.

// keyRegister is NFT_REG32_00, the first of 4 bytes.
const keyRegister = 8

// Offsets in the TCP, UDP, UDP-Lite, SCTP and DCCP headers alike.
const (
	source      = 0
	destination = 2
)

// all is one rule out of parts.
func all(parts ...[]expr.Any) []expr.Any { return slices.Concat(parts...) }

func accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }
func drop() []expr.Any   { return []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}} }

// reset answers with RST: connect(2) returns ECONNREFUSED. Of a packet that is
// dropped TCP would send more.
func reset() []expr.Any { return []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}} }

// equal holds register 1 to data.
func equal(data []byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data} }

// protocol matches packets of p.
func protocol(p byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, equal([]byte{p})}
}

// mark matches what sockets with SO_MARK m send.
func mark(m uint32) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, Register: 1}, equal(binary.NativeEndian.AppendUint32(nil, m))}
}

// loadPort loads the port at offset.
func loadPort(offset uint32) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 2}}
}

// port matches the port p at offset.
func port(offset uint32, p uint16) []expr.Any {
	return append(loadPort(offset), equal(binary.BigEndian.AppendUint16(nil, p)))
}

// setPort writes p, and the UDP checksum, which is at offset 6.
func setPort(offset uint32, p uint16) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: binary.BigEndian.AppendUint16(nil, p)},
		&expr.Payload{OperationType: expr.PayloadWrite, SourceRegister: 1, Base: expr.PayloadBaseTransportHeader,
			Offset: offset, Len: 2, CsumType: expr.CsumTypeInet, CsumOffset: 6},
	}
}

// translate has conntrack change the destination's port to p, and the source's
// of the answers back. The address stays.
func translate(t *nftables.Table, p uint16) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: binary.BigEndian.AppendUint16(nil, p)},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(t.Family), RegProtoMin: 1},
	}
}

// loadTo loads the destination address into register.
func (r *ruleset) loadTo(register uint32) expr.Any {
	p := &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4}
	if r.own.Is6() {
		p.Offset, p.Len = 24, 16
	}
	return p
}

// to matches destinations in p.
func (r *ruleset) to(p netip.Prefix) []expr.Any {
	e := []expr.Any{r.loadTo(1)}
	if n := uint32(r.own.BitLen() / 8); p.Bits() < r.own.BitLen() {
		e = append(e, &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: n, Mask: maskOf(p), Xor: make([]byte, n)})
	}
	return append(e, equal(p.Masked().Addr().AsSlice()))
}

// maskOf is p's netmask.
func maskOf(p netip.Prefix) []byte {
	mask := make([]byte, p.Addr().BitLen()/8)
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return mask
}

// count counts a packet in set by its protocol, destination and port.
func (r *ruleset) count(set *nftables.Set, ports bool) []expr.Any {
	after := keyRegister + 1 + uint32(r.own.BitLen()/32)
	e := []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: keyRegister}, r.loadTo(keyRegister + 1)}
	if ports {
		e = append(e, &expr.Payload{DestRegister: after, Base: expr.PayloadBaseTransportHeader, Offset: destination, Len: 2})
	} else {
		e = append(e, &expr.Immediate{Register: after, Data: []byte{0, 0}})
	}
	return append(e, &expr.Dynset{SrcRegKey: keyRegister, SetName: set.Name, SetID: set.ID,
		Operation: unix.NFT_DYNSET_OP_UPDATE, Exprs: []expr.Any{&expr.Counter{}}})
}
