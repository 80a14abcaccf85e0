//go:build ignore

// setsockopt(2): a stream socket bound to a device cannot reach lo, and once
// bound it cannot be moved without CAP_NET_RAW, which the target lacks
// (sock_bindtoindex_locked, net/core/sock.c). So binding one does nothing, and
// says that it did: there is one way out, through us.

#define SOCK_STREAM 1
#define SO_BINDTOIFINDEX 62 // include/uapi/asm-generic/socket.h

SEC("cgroup/setsockopt")
int divert_setsockopt(struct bpf_sockopt *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	if (ctx->level != SOL_SOCKET || !sk || sk->type != SOCK_STREAM)
		return PROCEED;
	if (ctx->optname == SO_BINDTODEVICE || ctx->optname == SO_BINDTOIFINDEX)
		*(volatile __s32 *)&ctx->optlen = -1; // the kernel's own handling is left out
	return PROCEED;
}
