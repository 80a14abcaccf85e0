//go:build ignore

// connect(2): TCP to the listener, UDP that is carried to the packet sockets, all
// else as it was. glibc connects UDP sockets to every candidate address to sort
// them by the source it would use (RFC 6724): see sockname.c.

// remember keeps what the socket asked for, and moves it off a device that
// loopback cannot be reached through.
static __always_inline bool remember(struct bpf_sock_addr *ctx, const struct destination *d)
{
	struct bpf_sock *sk = ctx->sk;
	if (!sk)
		return false;
	struct origin *o = bpf_sk_storage_get(&origins, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!o)
		return false;
	o->dst = *d;
	o->pid = bpf_get_current_pid_tgid() >> 32;
	o->uid = bpf_get_current_uid_gid();
	o->cgroup = bpf_get_current_cgroup_id();
	__u32 device = sk->bound_dev_if;
	if (device && device != LOOPBACK_IFINDEX) {
		char lo[] = "lo";
		return !bpf_setsockopt(ctx, SOL_SOCKET, SO_BINDTODEVICE, lo, sizeof lo);
	}
	return true;
}

// forget drops what an earlier connect of the same socket asked for.
static __always_inline void forget(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	if (sk)
		bpf_sk_storage_delete(&origins, sk);
}

static __always_inline enum verdict judge_connect(struct bpf_sock_addr *ctx, const struct destination *d)
{
	enum verdict v = LEAVE;
	if (abroad(ctx, d))
		return LEAVE;
	if (ctx->protocol == IPPROTO_TCP)
		v = judge(ctx, d, IPPROTO_TCP);
	else if (ctx->protocol == IPPROTO_UDP && carried(d))
		v = judge(ctx, d, IPPROTO_UDP);
	if (v == DIVERT)
		return remember(ctx, d) ? DIVERT : DENY;
	forget(ctx);
	if (ctx->protocol == IPPROTO_UDP && local(d))
		talk(d, IPPROTO_UDP, false); // TCP counts when it is established
	else if (ctx->protocol == IPPROTO_UDP)
		sent_by(ctx);
	return v;
}

SEC("cgroup/connect4")
int divert_connect4(struct bpf_sock_addr *ctx)
{
	struct destination d = destination4(ctx->user_ip4, ctx->user_port);
	switch (judge_connect(ctx, &d)) {
	case LEAVE:
		return PROCEED;
	case DENY:
		return REFUSE;
	case DIVERT:
		break;
	}
	if (ctx->protocol == IPPROTO_TCP) {
		ctx->user_ip4 = bpf_htonl(LOOPBACK4);
		ctx->user_port = bpf_htons(listener4);
		return PROCEED;
	}
	__u32 ip = alias4(&d);
	if (!ip)
		return REFUSE;
	ctx->user_ip4 = bpf_htonl(ip);
	ctx->user_port = bpf_htons(packets4);
	return PROCEED;
}

// Native IPv6 goes to ::1, never to ::ffff:127.0.0.1, which an IPV6_V6ONLY
// socket cannot reach. Of a mapped address only the last word changes.
SEC("cgroup/connect6")
int divert_connect6(struct bpf_sock_addr *ctx)
{
	struct destination d = destination6(ctx);
	switch (judge_connect(ctx, &d)) {
	case LEAVE:
		return PROCEED;
	case DENY:
		return REFUSE;
	case DIVERT:
		break;
	}
	__u32 ip = LOOPBACK4;
	__u16 port = listener4;
	if (mapped(&d)) {
		if (ctx->protocol == IPPROTO_UDP) {
			ip = alias4(&d);
			port = packets4;
		}
		if (!ip)
			return REFUSE;
		ctx->user_ip6[3] = bpf_htonl(ip);
		ctx->user_port = bpf_htons(port);
		return PROCEED;
	}
	port = listener6;
	if (ctx->protocol == IPPROTO_UDP)
		port = alias6(&d);
	if (!port)
		return REFUSE;
	ctx->user_ip6[0] = 0;
	ctx->user_ip6[1] = 0;
	ctx->user_ip6[2] = 0;
	ctx->user_ip6[3] = bpf_htonl(1);
	ctx->user_port = bpf_htons(port);
	return PROCEED;
}
