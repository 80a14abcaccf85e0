//go:build ignore

// sendto(2) and recvfrom(2) on unconnected UDP sockets: a datagram that is carried
// goes to the packet sockets, and its answer comes from where it was sent to.
// A v6 socket sends to a mapped address by sendmsg4 and receives by recvmsg6.

SEC("cgroup/sendmsg4")
int divert_sendmsg4(struct bpf_sock_addr *ctx)
{
	struct destination d = destination4(ctx->user_ip4, ctx->user_port);
	if (abroad(ctx, &d))
		return PROCEED;
	if (!carried(&d) || judge(ctx, &d, IPPROTO_UDP) != DIVERT) {
		if (local(&d))
			talk(&d, IPPROTO_UDP, false);
		else
			sent_by(ctx);
		return PROCEED;
	}
	__u32 ip = alias4(&d);
	if (!ip)
		return REFUSE;
	ctx->user_ip4 = bpf_htonl(ip);
	ctx->user_port = bpf_htons(packets4);
	return PROCEED;
}

SEC("cgroup/sendmsg6")
int divert_sendmsg6(struct bpf_sock_addr *ctx)
{
	struct destination d = destination6(ctx);
	if (abroad(ctx, &d))
		return PROCEED;
	if (!carried(&d) || judge(ctx, &d, IPPROTO_UDP) != DIVERT) {
		if (local(&d))
			talk(&d, IPPROTO_UDP, false);
		else
			sent_by(ctx);
		return PROCEED;
	}
	__u16 port = alias6(&d);
	if (!port)
		return REFUSE;
	ctx->user_ip6[0] = 0;
	ctx->user_ip6[1] = 0;
	ctx->user_ip6[2] = 0;
	ctx->user_ip6[3] = bpf_htonl(1);
	ctx->user_port = bpf_htons(port);
	return PROCEED;
}

SEC("cgroup/recvmsg4")
int divert_recvmsg4(struct bpf_sock_addr *ctx)
{
	if (ctx->user_port != bpf_htons(packets4))
		return PROCEED;
	__u32 key = unbounded(bpf_ntohl(ctx->user_ip4));
	struct destination *q = bpf_map_lookup_elem(&queried, &key);
	if (q) {
		ctx->user_ip4 = q->addr[3];
		ctx->user_port = q->port;
	}
	return PROCEED;
}

SEC("cgroup/recvmsg6")
int divert_recvmsg6(struct bpf_sock_addr *ctx)
{
	struct destination d = destination6(ctx);
	if (!local(&d))
		return PROCEED;
	__u32 key = bpf_ntohs(d.port);
	if (mapped(&d)) {
		if (key != packets4)
			return PROCEED;
		key = bpf_ntohl(d.addr[3]);
	}
	key = unbounded(key);
	struct destination *q = bpf_map_lookup_elem(&queried, &key);
	if (q) {
		ctx->user_ip6[0] = q->addr[0];
		ctx->user_ip6[1] = q->addr[1];
		ctx->user_ip6[2] = q->addr[2];
		ctx->user_ip6[3] = q->addr[3];
		ctx->user_port = q->port;
	}
	return PROCEED;
}
