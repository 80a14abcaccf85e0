// Command gofail gets each URL of its arguments, NAME=URL, all at once, and
// prints what became of each.
package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

func main() {
	client := &http.Client{Timeout: 2 * time.Second}
	var all sync.WaitGroup
	for _, arg := range os.Args[1:] {
		name, url, _ := strings.Cut(arg, "=")
		all.Go(func() { fmt.Printf("%s\t%s\n", name, get(client, url)) })
	}
	all.Wait()
}

// get is what became of a request for u.
func get(client *http.Client, u string) string {
	r, err := client.Get(u)
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err.Error()
	}
	defer r.Body.Close()
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d, %d bytes", r.StatusCode, n)
}
