// Command golookup prints, for each name of its arguments, the name and the
// addresses that Go's own resolver has for it, or the error.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
)

func main() {
	r := net.Resolver{PreferGo: true}
	for _, name := range os.Args[1:] {
		addrs, err := r.LookupHost(context.Background(), name)
		var missing *net.DNSError
		switch {
		case errors.As(err, &missing) && missing.IsNotFound:
			fmt.Println(name, "error: not found")
		case err != nil:
			fmt.Println(name, "error:", err)
		default:
			fmt.Println(name, strings.Join(addrs, " "))
		}
	}
}
