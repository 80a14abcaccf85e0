//go:build ignore

// One object, because maps are shared within one: each hook family has its
// file, and this joins them.

#include "divert.h"

#define SOL_SOCKET 1       // include/uapi/asm-generic/socket.h
#define SO_BINDTODEVICE 25 // the same

#include "connect.c"
#include "datagram.c"
#include "peername.c"
#include "sockname.c"
#include "established.c"
#include "device.c"
#include "egress.c"

char __license[] SEC("license") = "GPL";
