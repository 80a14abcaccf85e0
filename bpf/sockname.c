//go:build ignore

// getsockname(2) of a connected UDP socket that is diverted tells the address
// that it would send from without us, where it was not bound: programs sort
// addresses by it (RFC 6724), and learn their own.

// elsewhere says whether ctx's socket is connected by UDP, and diverted.
static __always_inline bool elsewhere(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	return sk && sk->protocol == IPPROTO_UDP && bpf_sk_storage_get(&origins, sk, 0, 0);
}

SEC("cgroup/getsockname4")
int divert_getsockname4(struct bpf_sock_addr *ctx)
{
	if (source4 && ctx->user_ip4 == bpf_htonl(LOOPBACK4) && elsewhere(ctx))
		ctx->user_ip4 = source4;
	return PROCEED;
}

SEC("cgroup/getsockname6")
int divert_getsockname6(struct bpf_sock_addr *ctx)
{
	struct destination d = destination6(ctx);
	if (!local(&d) || !elsewhere(ctx))
		return PROCEED;
	if (mapped(&d)) {
		if (source4)
			ctx->user_ip6[3] = source4;
		return PROCEED;
	}
	if (!source6[0] && !source6[3])
		return PROCEED;
	ctx->user_ip6[0] = source6[0];
	ctx->user_ip6[1] = source6[1];
	ctx->user_ip6[2] = source6[2];
	ctx->user_ip6[3] = source6[3];
	return PROCEED;
}
