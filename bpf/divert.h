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
#define SLOTS 32 // IPv6 name servers that a target can tell apart

// Settings, set before load; zero means there is none. Ports and IPv4
// addresses in host order.
const volatile __u16 listener4 = 0;
const volatile __u16 listener6 = 0;
const volatile __u16 packets4 = 0;
const volatile __u16 packets6[SLOTS] = {};
const volatile __u32 probe4 = 0;
const volatile bool hermetic = false;

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

// Why a packet or a connect was refused.
enum why { WHY_QUIC = 1, WHY_HERMETIC = 2 };

struct escape {
	struct destination dst;
	__u8 protocol; // IPPROTO_*
	__u8 why;
	__u16 pad;
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
// drops what was abandoned before it was accepted.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct tuple);
	__type(value, struct origin);
} by_tuple SEC(".maps");

// queried tells which name server a rewritten datagram was for. The key is the
// IPv4 loopback address it was sent to, or the IPv6 slot's port, both in host
// order: ports are below 2^16, so the two never meet.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct destination);
} queried SEC(".maps");

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
	__type(value, __u64);
} escapes SEC(".maps");

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

static __always_inline bool excepted(const struct destination *d)
{
	struct prefix p = { .len = 128 };
	__builtin_memcpy(p.addr, d->addr, sizeof p.addr);
	return bpf_map_lookup_elem(&except, &p) != 0;
}

static __always_inline void count(const struct destination *d, __u8 protocol, __u8 why)
{
	struct escape e = { .dst = *d, .protocol = protocol, .why = why };
	__u64 *n = bpf_map_lookup_elem(&escapes, &e);
	if (!n) {
		__u64 none = 0;
		bpf_map_update_elem(&escapes, &e, &none, BPF_NOEXIST);
		n = bpf_map_lookup_elem(&escapes, &e);
	}
	if (n)
		__sync_fetch_and_add(n, 1);
}

enum verdict { LEAVE, DIVERT, DENY };

// judge decides over a TCP connect or a DNS datagram to d.
static __always_inline enum verdict judge(const struct destination *d, __u8 protocol)
{
	if (mapped(d) && probe4 && d->addr[3] == bpf_htonl(probe4))
		return DIVERT;
	if (d->port == bpf_htons(DNS_PORT) && bpf_map_lookup_elem(&resolvers, d->addr))
		return DIVERT;
	if (local(d)) {
		__u16 port = bpf_ntohs(d->port);
		if (protocol == IPPROTO_TCP && bpf_map_lookup_elem(&loopback_ports, &port))
			return DIVERT;
		return LEAVE;
	}
	if (!nearby(d) && !excepted(d))
		return DIVERT;
	// Egress would drop the SYN, which TCP takes for loss: two minutes of
	// silence. Refusing the connect tells the caller at once.
	if (hermetic && protocol == IPPROTO_TCP) {
		count(d, protocol, WHY_HERMETIC);
		return DENY;
	}
	return LEAVE;
}

static __always_inline __u32 hash(const struct destination *d)
{
	__u32 h = d->port;
	h = (h ^ d->addr[0]) * 0x9e3779b1;
	h = (h ^ h >> 15 ^ d->addr[1]) * 0x85ebca77;
	h = (h ^ h >> 13 ^ d->addr[2]) * 0xc2b2ae3d;
	h = (h ^ h >> 16 ^ d->addr[3]) * 0x27d4eb2f;
	return h ^ h >> 15;
}

// claim makes key mean d, and says whether it does.
static __always_inline bool claim(__u32 key, const struct destination *d)
{
	struct destination *q = bpf_map_lookup_elem(&queried, &key);
	if (!q) {
		if (!bpf_map_update_elem(&queried, &key, d, BPF_NOEXIST))
			return true;
		q = bpf_map_lookup_elem(&queried, &key); // another CPU was faster
		if (!q)
			return false;
	}
	return q->addr[0] == d->addr[0] && q->addr[1] == d->addr[1] &&
	       q->addr[2] == d->addr[2] && q->addr[3] == d->addr[3] && q->port == d->port;
}

// alias4 returns the address in 127.128.0.0/9 that stands for the IPv4 name
// server d, in host order, or 0 if there is none left.
static __always_inline __u32 alias4(const struct destination *d)
{
	__u32 h = hash(d);
	for (int i = 0; i < 8; i++) {
		__u32 ip = 0x7f800000 | ((h + i) & 0x7fffff);
		if (ip != 0x7fffffff && claim(ip, d)) // 127.255.255.255 is broadcast
			return ip;
	}
	return 0;
}

// alias6 returns the port on ::1 that stands for the IPv6 name server d, in
// host order, or 0 if there is none left. IPv6 has one loopback address, so the
// port tells name servers apart.
static __always_inline __u16 alias6(const struct destination *d)
{
	__u32 h = hash(d);
	for (int i = 0; i < SLOTS; i++) {
		__u16 port = packets6[(h + i) & (SLOTS - 1)];
		if (port && claim(port, d))
			return port;
	}
	return 0;
}

#endif
