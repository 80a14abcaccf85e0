// Package bench measures what serge-net costs, on one machine, beside the same
// client and server without it:
//
//	make bench
//
// runs its one benchmark as root on Linux and writes bench/RESULTS.md. On other
// systems there is nothing in it: serge-net diverts on Linux only.
//
// Clients (wrk, h2load, curl) and server (nginx) are real, in the two network
// namespaces of package testnet. Each scenario goes through the variants direct,
// recorded and replayed in turn, several rounds of them, so that a machine that
// slows down slows all three; the table has medians, and only the ratios in one
// row mean something elsewhere. CPU time is that of the serge-net process that
// handles the connections, from /proc, without the client's; it is the steadiest
// of the figures. Every answer is counted, and a wrong size or status fails the run.
package bench
