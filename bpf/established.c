//go:build ignore

// The connect hooks run before a source port is chosen; TCP_CONNECT_CB runs
// after, and before the SYN leaves: what is put down here is there when the
// listener accepts, whatever the client does meanwhile.

#define AF_INET 2

SEC("sockops")
int divert_sockops(struct bpf_sock_ops *ctx)
{
	// clang 14 merges neighbouring loads of ctx into "dereference of modified
	// ctx ptr", which the verifier refuses; volatile keeps them apart.
	volatile struct bpf_sock_ops *s = ctx;
	if (s->op != BPF_SOCK_OPS_TCP_CONNECT_CB)
		return PROCEED;
	struct bpf_sock *sk = ctx->sk;
	if (!sk)
		return PROCEED;
	struct origin *o = bpf_sk_storage_get(&origins, sk, 0, 0);
	if (!o)
		return PROCEED;
	struct tuple t = {
		.client_port = s->local_port,
		.listener = bpf_ntohl(s->remote_port),
	};
	// Both are read before the branch, or clang joins the loads of the two arms.
	__u32 ip4 = s->local_ip4;
	t.client[0] = s->local_ip6[0];
	t.client[1] = s->local_ip6[1];
	t.client[2] = s->local_ip6[2];
	t.client[3] = s->local_ip6[3];
	if (s->family == AF_INET) {
		t.client[0] = 0;
		t.client[1] = 0;
		t.client[2] = bpf_htonl(0xffff);
		t.client[3] = ip4;
	}
	// Without its entry the listener refuses the connection: no need to look.
	bpf_map_update_elem(&by_tuple, &t, o, BPF_ANY);
	return PROCEED;
}
