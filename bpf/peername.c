//go:build ignore

// getpeername(2) names the origin, not us.

SEC("cgroup/getpeername4")
int divert_getpeername4(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	if (!sk)
		return PROCEED;
	struct origin *o = bpf_sk_storage_get(&origins, sk, 0, 0);
	if (o) {
		ctx->user_ip4 = o->dst.addr[3];
		ctx->user_port = o->dst.port;
	}
	return PROCEED;
}

SEC("cgroup/getpeername6")
int divert_getpeername6(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	if (!sk)
		return PROCEED;
	struct origin *o = bpf_sk_storage_get(&origins, sk, 0, 0);
	if (o) {
		ctx->user_ip6[0] = o->dst.addr[0];
		ctx->user_ip6[1] = o->dst.addr[1];
		ctx->user_ip6[2] = o->dst.addr[2];
		ctx->user_ip6[3] = o->dst.addr[3];
		ctx->user_port = o->dst.port;
	}
	return PROCEED;
}
