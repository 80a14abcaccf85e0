// Command grpcpeers is the server of gRPC's interoperability tests and their
// client, which runs one case and prints what came of it.
//
//	grpcpeers serve [cert.pem key.pem]   on descriptor 3 in clear text, on 4 in TLS, on 5 by Connect's library
//	grpcpeers connect PROTOCOL ADDRESS   calls by Connect's library
//	grpcpeers miss PROTOCOL ADDRESS      calls what is not recorded
//	grpcpeers ask SIZE ADDRESS [reflection]   one call for so many bytes, behind a call of reflection
//	grpcpeers list
//	grpcpeers run CASE ADDRESS [ca.pem]  "all" runs all that are no chance, one after the other
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"maps"
	"net"
	"os"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
)

func main() {
	log.SetFlags(0)
	switch {
	case len(os.Args) >= 2 && os.Args[1] == "serve":
		log.Fatal(serve(os.Args[2:]))
	case len(os.Args) == 2 && os.Args[1] == "list":
		for _, name := range slices.Sorted(maps.Keys(cases())) {
			fmt.Println(name)
		}
	case len(os.Args) == 4 && os.Args[1] == "connect":
		if err := runConnect(context.Background(), os.Args[2], os.Args[3]); err != nil {
			log.Fatal(err)
		}
	case len(os.Args) == 4 && os.Args[1] == "miss":
		missConnect(context.Background(), os.Args[2], os.Args[3])
	case len(os.Args) >= 4 && os.Args[1] == "ask":
		if err := ask(context.Background(), os.Args[2], os.Args[3], len(os.Args) > 4); err != nil {
			log.Fatal(err)
		}
	case len(os.Args) >= 4 && os.Args[1] == "run":
		if err := run(os.Args[2], os.Args[3], os.Args[4:]); err != nil {
			log.Fatal(err)
		}
	default:
		log.Fatal("usage: grpcpeers serve | run CASE ADDRESS [ca.pem]")
	}
}

// serve serves until the process is killed.
func serve(pair []string) error {
	ended := make(chan error, 3)
	for fd := uintptr(3); fd < 6; fd++ {
		l, err := net.FileListener(os.NewFile(fd, "listener"))
		if err != nil {
			return err
		}
		if fd == 5 {
			go func() { ended <- serveConnect(l) }()
			continue
		}
		creds := insecure.NewCredentials()
		if fd == 4 {
			cert, err := tls.LoadX509KeyPair(pair[0], pair[1])
			if err != nil {
				return err
			}
			creds = credentials.NewServerTLSFromCert(&cert)
		}
		s := grpc.NewServer(grpc.Creds(creds), grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Millisecond, PermitWithoutStream: true}))
		testgrpc.RegisterTestServiceServer(s, interop.NewTestServer())
		reflection.Register(s)
		go func() { ended <- s.Serve(l) }()
	}
	return <-ended
}

// dial connects to address, in TLS if roots names a file.
func dial(address string, roots []string, opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	creds := insecure.NewCredentials()
	if len(roots) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			return nil, err
		}
		if pem, err := os.ReadFile(roots[0]); err == nil {
			pool.AppendCertsFromPEM(pem)
		}
		creds = credentials.NewTLS(&tls.Config{RootCAs: pool})
	}
	return grpc.NewClient("dns:///"+address, append(opts, grpc.WithTransportCredentials(creds))...)
}

// run runs one case and prints what it saw.
func run(name, address string, roots []string) error {
	if name == "all" {
		for _, name := range slices.Sorted(maps.Keys(cases())) {
			if name == "cancel_after_begin" || name == "timeout_on_sleeping_server" {
				continue // whose request leaves by chance
			}
			if err := run(name, address, roots); err != nil {
				return err
			}
		}
		return nil
	}
	c := cases()[name]
	if c == nil {
		return fmt.Errorf("no case %q", name)
	}
	conn, err := dial(address, roots)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := c(ctx, conn); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Println(name, "passed")
	return nil
}
