//go:build ignore

// The connect hooks run before a source port is chosen; TCP_CONNECT_CB runs
// after, and before the SYN leaves: what is put down here is there when the
// listener accepts, whatever the client does meanwhile.
//
// The ESTABLISHED ones run at both ends of a connection, each where it belongs
// to the target: so loopback is counted, what was left alone of it. A connect
// that is refused gets to neither.

#define AF_INET 2

// end makes an address of the words of one, or of ip4 where family is IPv4.
static __always_inline void end(__u32 addr[4], __u32 family, __u32 ip4, __u32 a, __u32 b, __u32 c, __u32 d)
{
	addr[0] = unbounded(a);
	addr[1] = unbounded(b);
	addr[2] = unbounded(c);
	addr[3] = unbounded(d);
	if (family == AF_INET) {
		addr[0] = 0;
		addr[1] = 0;
		addr[2] = unbounded(bpf_htonl(0xffff));
		addr[3] = unbounded(ip4);
	}
}

// depart puts down where the connection that o is of comes from.
static __always_inline void depart(volatile struct bpf_sock_ops *s, struct origin *o)
{
	struct tuple t = {
		.client_port = unbounded(s->local_port),
		.listener = unbounded(bpf_ntohl(s->remote_port)),
	};
	end(t.client, s->family, s->local_ip4, s->local_ip6[0], s->local_ip6[1], s->local_ip6[2], s->local_ip6[3]);
	// Without its entry the listener refuses the connection: no need to look.
	bpf_map_update_elem(&by_tuple, &t, o, BPF_ANY);
}

SEC("sockops")
int divert_sockops(struct bpf_sock_ops *ctx)
{
	// clang 14 merges neighbouring loads of ctx into "dereference of modified
	// ctx ptr", which the verifier refuses; volatile keeps them apart, and all
	// are read before a branch, or clang joins the loads of its arms.
	volatile struct bpf_sock_ops *s = ctx;
	__u32 op = s->op;
	if (op != BPF_SOCK_OPS_TCP_CONNECT_CB && op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB &&
	    op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		return PROCEED;
	struct bpf_sock *sk = ctx->sk;
	if (!sk)
		return PROCEED;
	struct destination d = {};
	if (op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB) {
		d.port = unbounded(bpf_htons(s->local_port));
		end(d.addr, s->family, s->local_ip4, s->local_ip6[0], s->local_ip6[1], s->local_ip6[2], s->local_ip6[3]);
		if (local(&d))
			talk(&d, IPPROTO_TCP, true);
		return PROCEED;
	}
	struct origin *o = bpf_sk_storage_get(&origins, sk, 0, 0);
	if (op == BPF_SOCK_OPS_TCP_CONNECT_CB) {
		if (o)
			depart(s, o);
		return PROCEED;
	}
	__u16 port = bpf_ntohl(s->remote_port);
	d.port = unbounded(bpf_htons(port));
	end(d.addr, s->family, s->remote_ip4, s->remote_ip6[0], s->remote_ip6[1], s->remote_ip6[2], s->remote_ip6[3]);
	if (!o && local(&d))
		talk(&d, IPPROTO_TCP, false);
	return PROCEED;
}
