// What the hook families share: settings, maps, and the decision whether a
// destination is diverted. Addresses are four words in network order, IPv4 as
// ::ffff:a.b.c.d, so that one map and one rule serve both families.

#ifndef DIVERT_H
#define DIVERT_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// What a hook returns.
#define REFUSE 0 // EPERM to the caller
#define PROCEED 1

#define DNS_PORT 53
#define QUIC_PORT 443
#define LOOPBACK_IFINDEX 1 // LOOPBACK_IFINDEX in include/net/flow.h: lo is 1 in every network namespace
#define LOOPBACK4 0x7f000001
#define ALIAS4 0x7f800001 // 127.128.0.1, the first address that stands for a destination of datagrams
#define SLOTS 32 // IPv6 destinations of datagrams that a target can tell apart
#define QUIC_SLOTS 24 // of them those that may be others than name servers
#define PINNED_SLOTS 12 // of those, the ones that may be others than QUIC's
#define MAX_ALIASES 8192 // such destinations in all; their buckets are made at load, and take time
#define MAX_SERVERS (MAX_ALIASES - SLOTS) // IPv4 ones

// Settings, set before load; zero means there is none. Ports and IPv4
// addresses in host order.
const volatile __u16 listener4 = 0;
const volatile __u16 listener6 = 0;
const volatile __u16 packets4 = 0;
const volatile __u16 packets6[SLOTS] = {};
const volatile __u32 probe4 = 0;
const volatile bool hermetic = false;
const volatile bool quic = false; // UDP port 443 is diverted too
// The network namespace that our sockets are in, by its cookie: from another they
// cannot be reached.
const volatile __u64 network = 0;
// What UDP sockets that are diverted believe to send from; zero is nowhere: the
// host has no route.
const volatile __u32 source4 = 0; // network order
const volatile __u32 source6[4] = {};

struct destination {
	__u32 addr[4];
	__u16 port; // network order
	__u16 pad;
};

// An origin is what a socket asked for, and who asked.
struct origin {
	struct destination dst;
	__u32 pid;
	__u32 uid;
	__u64 cgroup;
};

// A tuple is a diverted TCP connection as the listener sees it.
struct tuple {
	__u32 client[4];
	__u16 client_port; // host order
	__u16 listener;    // host order
};

// Why a packet or a connect was refused; of WHY_PASSED it was not.
enum why { WHY_QUIC = 1, WHY_HERMETIC = 2, WHY_DATAGRAM = 3, WHY_PASSED = 4 };

struct escape {
	struct destination dst;
	__u8 protocol; // IPPROTO_*
	__u8 why;
	__u16 pad;
	__u32 pid; // 0 if it cannot be told
};

struct escaped {
	__u64 count;
	__u32 command[4]; // TASK_COMM_LEN characters
};

// A sender is who sent by a socket last, or connected it.
struct sender {
	__u32 pid;
	__u32 command[4];
};

// A pass is UDP that may leave: to a prefix of addresses, at a port or at any,
// which is 0.
struct pass {
	__u32 len;  // bits of what follows
	__u32 port; // host order
	__u32 addr[4];
};

// A talk is a destination on loopback that is left alone, and how often it was
// talked to: connections made to it, and accepted there by the target itself.
// What is accepted by others is the difference. A datagram counts as one made.
struct talk {
	struct destination dst;
	__u8 protocol; // IPPROTO_TCP or IPPROTO_UDP
	__u8 pad[3];
};

struct talked {
	__u64 made, accepted;
};

struct prefix {
	__u32 len; // bits, counted in the mapped form
	__u32 addr[4];
};

// origins lives and dies with the socket; getpeername and sockops read it.
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct origin);
} origins SEC(".maps");

// by_tuple is filled before the SYN leaves and emptied by the listener. The LRU
// drops what was abandoned before it was accepted. Both backlogs hold 4096 by
// default (net.core.somaxconn, since Linux 5.4); more entries would only make
// the load longer, which fills the map: 3 ms for 65536.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct tuple);
	__type(value, struct origin);
} by_tuple SEC(".maps");

// queried tells which name server, or QUIC server, a rewritten datagram was for. The key is the
// IPv4 loopback address it was sent to, or the IPv6 slot's port, both in host
// order: ports are below 2^16, so the two never meet.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_ALIASES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct destination);
} queried SEC(".maps");

// aliases is the inverse of queried, and next4 and next6 count what is in it.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_ALIASES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct destination);
	__type(value, __u32);
} aliases SEC(".maps");

__u32 next4 = 0, next6 = 0;

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, __u8);
} except SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u16); // host order
	__type(value, __u8);
} loopback_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32[4]);
	__type(value, __u8);
} resolvers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct escape);
	__type(value, struct escaped);
} escapes SEC(".maps");

// senders lives and dies with the socket, which is what a packet is known by on
// its way out.
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct sender);
} senders SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 2048);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct pass);
	__type(value, __u8);
} passes SEC(".maps");

// pinned are addresses that stand for names: datagrams to them are diverted where
// they may pass, as nobody has such an address.
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, __u8);
} pinned SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct talk);
	__type(value, struct talked);
} talks SEC(".maps");

// unbounded hides from the verifier what it knows of v. Eight bytes of stack of
// which a bounded number fills a part are a spilled register to it, and without
// CAP_PERFMON it lets nothing write to a part of them again: "attempt to corrupt
// spilled pointer on stack" (check_stack_write_fixed_off, Linux 6.1; 6.12 does).
// So does clang, where variables share stack. A number that is negated it knows
// nothing of, and does not keep.
static __always_inline __u64 unbounded(__u64 v)
{
	asm volatile("%0 = -%0\n\t%0 = -%0" : "+r"(v));
	return v;
}

// copy sets four words to those of from.
static __always_inline void copy(__u32 *to, const __u32 *from)
{
	to[0] = unbounded(from[0]);
	to[1] = unbounded(from[1]);
	to[2] = unbounded(from[2]);
	to[3] = unbounded(from[3]);
}

// destination4 is an IPv4 address and a port, both in network order.
static __always_inline struct destination destination4(__u32 ip, __u16 port)
{
	return (struct destination){
		.addr = { 0, 0, unbounded(bpf_htonl(0xffff)), unbounded(ip) },
		.port = unbounded(port),
	};
}

// destination6 is what a socket asks for over IPv6, mapped addresses included.
static __always_inline struct destination destination6(struct bpf_sock_addr *ctx)
{
	return (struct destination){
		.addr = { unbounded(ctx->user_ip6[0]), unbounded(ctx->user_ip6[1]), unbounded(ctx->user_ip6[2]),
			  unbounded(ctx->user_ip6[3]) },
		.port = unbounded(ctx->user_port),
	};
}

static __always_inline bool mapped(const struct destination *d)
{
	return d->addr[0] == 0 && d->addr[1] == 0 && d->addr[2] == bpf_htonl(0xffff);
}

// local says whether d is this host by name: loopback, or unspecified, which
// connect takes for loopback.
static __always_inline bool local(const struct destination *d)
{
	if (mapped(d)) {
		__u32 ip = bpf_ntohl(d->addr[3]);
		return ip >> 24 == 127 || ip == 0;
	}
	return d->addr[0] == 0 && d->addr[1] == 0 && d->addr[2] == 0 &&
	       (d->addr[3] == 0 || d->addr[3] == bpf_htonl(1));
}

// nearby says whether d is broadcast, multicast or link-local: no connection to
// it leaves the link, and diverting would make a connect succeed that cannot.
static __always_inline bool nearby(const struct destination *d)
{
	if (mapped(d)) {
		__u32 ip = bpf_ntohl(d->addr[3]);
		return ip == 0xffffffff || ip >> 28 == 0xe || ip >> 16 == 0xa9fe;
	}
	__u32 top = bpf_ntohl(d->addr[0]);
	return top >> 24 == 0xff || top >> 22 == 0xfe80 >> 6;
}

// within says whether d is in one of the prefixes of map.
static __always_inline bool within(void *map, const struct destination *d)
{
	struct prefix p = { .len = unbounded(128) };
	copy(p.addr, d->addr);
	return bpf_map_lookup_elem(map, &p) != 0;
}

static __always_inline bool excepted(const struct destination *d)
{
	return within(&except, d);
}

// passing says whether UDP to d may leave.
static __always_inline bool passing(const struct destination *d)
{
	struct pass p = { .len = unbounded(160), .port = unbounded(bpf_ntohs(d->port)) };
	copy(p.addr, d->addr);
	if (bpf_map_lookup_elem(&passes, &p))
		return true;
	p.port = unbounded(0);
	return bpf_map_lookup_elem(&passes, &p) != 0;
}

// sent_by puts down who sends by ctx's socket.
static __always_inline void sent_by(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	if (!sk)
		return;
	struct sender *s = bpf_sk_storage_get(&senders, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!s)
		return;
	s->pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(s->command, sizeof s->command); // taken out by who loads this without CAP_PERFMON
}

// nobody sends what it is not known who sends. It is no null pointer: without
// CAP_PERFMON the verifier of Linux 6.1 follows what is speculated on behind one,
// where it is used.
const volatile struct sender nobody = {};

// sender_of is who sends by sk, as far as that is known.
static __always_inline const volatile struct sender *sender_of(struct bpf_sock *sk)
{
	struct sender *s;
	if (!sk)
		return &nobody;
	s = bpf_sk_storage_get(&senders, sk, 0, 0);
	if (!s)
		return &nobody;
	return s;
}

// count counts what was refused, or passed, of what s sent.
static __always_inline void count(const struct destination *d, __u8 protocol, __u8 why,
				  const volatile struct sender *s)
{
	struct escape e = { .dst.port = unbounded(d->port), .protocol = unbounded(protocol), .why = unbounded(why),
			    .pid = unbounded(s->pid) };
	copy(e.dst.addr, d->addr);
	struct escaped *n = bpf_map_lookup_elem(&escapes, &e);
	if (!n) {
		struct escaped none = {};
		bpf_map_update_elem(&escapes, &e, &none, BPF_NOEXIST);
		n = bpf_map_lookup_elem(&escapes, &e);
		if (!n)
			return;
		for (int i = 0; i < 4; i++)
			n->command[i] = s->command[i];
	}
	__sync_fetch_and_add(&n->count, 1);
}

// talk counts a connection or datagram to d, by the end that made it or by the
// one that accepted it.
static __always_inline void talk(const struct destination *d, __u8 protocol, bool accepted)
{
	struct talk k = { .dst.port = unbounded(d->port), .protocol = unbounded(protocol) };
	copy(k.dst.addr, d->addr);
	struct talked *n = bpf_map_lookup_elem(&talks, &k);
	if (!n) {
		struct talked none = {};
		bpf_map_update_elem(&talks, &k, &none, BPF_NOEXIST);
		n = bpf_map_lookup_elem(&talks, &k);
	}
	if (!n)
		return;
	if (accepted)
		__sync_fetch_and_add(&n->accepted, 1);
	else
		__sync_fetch_and_add(&n->made, 1);
}

// abroad says whether ctx's socket is in another network namespace than ours, as
// one of a run inside the target is. What is sent there is left alone, and comes by
// us when it is sent on from here. Of TCP that is counted as what passes, but where
// nothing leaves anyhow.
static __always_inline bool abroad(struct bpf_sock_addr *ctx, const struct destination *d)
{
	if (!network || bpf_get_netns_cookie(ctx) == network)
		return false;
	if (ctx->protocol == IPPROTO_TCP && !hermetic && !local(d)) {
		sent_by(ctx);
		count(d, IPPROTO_TCP, WHY_PASSED, sender_of(ctx->sk));
	}
	return true;
}

enum verdict { LEAVE, DIVERT, DENY };

// routed says whether this host has a route to where d is.
static __always_inline bool routed(const struct destination *d)
{
	return mapped(d) ? source4 != 0 : source6[0] || source6[3];
}

// carried says whether datagrams to d are diverted: those to two ports, and what
// passes to a name's address. A port of 0 nobody sends to: libc connects there
// to learn a source address.
static __always_inline bool carried(const struct destination *d)
{
	if (d->port == bpf_htons(DNS_PORT))
		return true;
	if (d->port == bpf_htons(QUIC_PORT))
		return quic;
	return d->port && within(&pinned, d) && routed(d) && passing(d);
}

// judge decides over ctx's TCP connect or a datagram that is carried to d.
static __always_inline enum verdict judge(struct bpf_sock_addr *ctx, const struct destination *d, __u8 protocol)
{
	if (mapped(d) && probe4 && d->addr[3] == bpf_htonl(probe4))
		return DIVERT;
	if (d->port == bpf_htons(DNS_PORT) && bpf_map_lookup_elem(&resolvers, d->addr))
		return DIVERT;
	if (local(d)) {
		__u16 port = unbounded(bpf_ntohs(d->port));
		if (protocol == IPPROTO_TCP && bpf_map_lookup_elem(&loopback_ports, &port))
			return DIVERT;
		return LEAVE;
	}
	if (!nearby(d) && !excepted(d))
		return DIVERT;
	// Egress would drop the SYN, which TCP takes for loss: two minutes of
	// silence. Refusing the connect tells the caller at once.
	if (hermetic && protocol == IPPROTO_TCP) {
		sent_by(ctx);
		count(d, protocol, WHY_HERMETIC, sender_of(ctx->sk));
		return DENY;
	}
	return LEAVE;
}

// alias returns the key in queried that stands for d, or 0 if there is none
// left. *next is the first that is free. There is no search, as loops take too
// long to verify without CAP_PERFMON, where speculative paths are followed too.
// Two CPUs that meet the same new server take two keys: both are right.
static __always_inline __u32 alias(const struct destination *d, __u32 *next, __u32 limit)
{
	__u32 *known = bpf_map_lookup_elem(&aliases, d);
	if (known)
		return *known;
	if (*next >= limit) // before it is added to, so that it cannot wrap
		return 0;
	__u32 n = __sync_fetch_and_add(next, 1);
	if (n >= limit)
		return 0;
	__u32 key = ALIAS4 + n;
	if (next == &next6) {
		key = packets6[n & (SLOTS - 1)];
		if (!key)
			return 0;
	}
	key = unbounded(key);
	if (bpf_map_update_elem(&queried, &key, d, BPF_ANY) || bpf_map_update_elem(&aliases, d, &key, BPF_ANY))
		return 0;
	return key;
}

// alias4 returns the address that stands for the IPv4 server d, in host order.
static __always_inline __u32 alias4(const struct destination *d)
{
	return alias(d, &next4, MAX_SERVERS);
}

// alias6 returns the port on ::1 that stands for the IPv6 server d, in host order.
// IPv6 has one loopback address, so the port tells servers apart. QUIC leaves
// some to name servers, and what else there is to QUIC: they go on when it has used
// up its own, which libc does that connects to all there is.
static __always_inline __u16 alias6(const struct destination *d)
{
	// The limit of alias stays a constant: of one that is not the verifier
	// refuses the index that it bounds, without CAP_PERFMON.
	__u32 most = d->port == bpf_htons(QUIC_PORT) ? QUIC_SLOTS : PINNED_SLOTS;
	if (d->port != bpf_htons(DNS_PORT) && next6 >= most && !bpf_map_lookup_elem(&aliases, d))
		return 0;
	return alias(d, &next6, SLOTS);
}

#endif
