// Package bpf holds the kernel programs of the ebpf lane and loads them. They
// hook the sockets of one cgroup v2: connect, sendmsg, recvmsg, getpeername,
// getsockname, setsockopt, sockops and egress. The C is beside the Go, one file per hook
// family, and divert.h says what is decided and which maps pass it on.
//
// [Load] needs CAP_BPF and CAP_NET_ADMIN, [Hooks.Attach] Linux 5.7 (bpf_link
// on cgroups), the programs Linux 5.12 (atomics of -mcpu=v3), and
// [Hooks.Original] Linux 5.14 (look up and delete in a hash).
package bpf

//go:generate go tool bpf2go -target bpfel -cc clang -cflags "-O2 -mcpu=v3 -Wall -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu" -type destination -type origin -type tuple -type escape -type escaped -type pass -type talk -type talked -type prefix divert divert.c
//go:generate sh -c "sha256sum *.c *.h > sources.sha256"
