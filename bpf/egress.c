//go:build ignore

// Every packet on its way out: QUIC that was not diverted is refused (EPERM to
// sendto), so that clients fall back to TCP; so is other UDP that may not pass,
// and what may is counted. A hermetic target reaches lo, and that, alone.

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd

// read_destination fills d and protocol from the packet's headers. A fragment
// or a packet with IPv6 extension headers has no port.
static __always_inline bool read_destination(struct __sk_buff *skb, struct destination *d, __u8 *protocol)
{
	__u32 transport = 40;
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		__u8 first;
		__u16 fragment;
		d->addr[2] = unbounded(bpf_htonl(0xffff));
		if (bpf_skb_load_bytes(skb, 0, &first, 1) || bpf_skb_load_bytes(skb, 6, &fragment, 2) ||
		    bpf_skb_load_bytes(skb, 9, protocol, 1) || bpf_skb_load_bytes(skb, 16, &d->addr[3], 4))
			return false;
		if (fragment & bpf_htons(0x1fff))
			return true;
		transport = (first & 15) * 4;
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		if (bpf_skb_load_bytes(skb, 6, protocol, 1) || bpf_skb_load_bytes(skb, 24, d->addr, 16))
			return false;
	} else {
		return false;
	}
	if (*protocol == IPPROTO_TCP || *protocol == IPPROTO_UDP || *protocol == IPPROTO_UDPLITE ||
	    *protocol == IPPROTO_SCTP || *protocol == IPPROTO_DCCP)
		bpf_skb_load_bytes(skb, transport + 2, &d->port, 2);
	return true;
}

// count_packet counts skb, to d.
static __always_inline void count_packet(struct __sk_buff *skb, const struct destination *d, __u8 protocol, enum why why)
{
	struct bpf_sock *sk = skb->sk;
	if (sk)
		sk = bpf_sk_fullsock(sk);
	if (!sk) {
		count(d, protocol, why, &nobody);
		return;
	}
	count(d, protocol, why, sender_of(sk));
}

// verdict is what becomes of a packet that was not diverted.
static __always_inline enum why verdict(const struct destination *d, __u8 protocol)
{
	if (protocol != IPPROTO_UDP)
		return hermetic ? WHY_HERMETIC : 0;
	if (!hermetic && excepted(d))
		return WHY_PASSED;
	if (d->port != bpf_htons(QUIC_PORT) && passing(d))
		return WHY_PASSED;
	if (hermetic)
		return WHY_HERMETIC;
	return d->port == bpf_htons(QUIC_PORT) ? WHY_QUIC : WHY_DATAGRAM;
}

SEC("cgroup_skb/egress")
int divert_egress(struct __sk_buff *skb)
{
	if (skb->ifindex == LOOPBACK_IFINDEX)
		return PROCEED;
	struct destination d = {};
	__u8 protocol = 0;
	if (!read_destination(skb, &d, &protocol) && !hermetic)
		return PROCEED;
	enum why why = verdict(&d, protocol);
	if (!why)
		return PROCEED;
	count_packet(skb, &d, protocol, why);
	return why == WHY_PASSED ? PROCEED : REFUSE;
}
