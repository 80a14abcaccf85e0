// Package testnet builds a small internet for tests: two network namespaces
// that the test owns, joined by a veth pair. In the one named internet live real
// servers (nginx, a Go origin that speaks HTTP/1.1, HTTP/2, WebSocket and SSE, a
// server of odd wire forms, raw TCP and UDP, DNS) and a certificate authority
// of its own; in the other, client, the test runs its commands. The host's
// namespace is never touched, and no packet leaves the machine.
//
//	client                                internet
//	192.0.2.2, 2001:db8::2  <-- veth -->  192.0.2.1, 2001:db8::1
//	unreachable: 198.51.100.0/24          203.0.113.0/24, 2001:db8:113::/64 on lo
//
// [Hosts] lists who lives where, [OddForms] the bytes that odd.test.example
// sends. [New] needs Linux and root; the servers' code is portable.
//
// Only tests and benchmarks import this package.
package testnet
