// Command goget prints the status and body of each URL in its arguments, by net/http.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	for _, url := range os.Args[1:] {
		r, err := http.Get(url)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d %s\n", r.StatusCode, url)
		if _, err := io.Copy(os.Stdout, r.Body); err != nil {
			log.Fatal(err)
		}
		r.Body.Close()
	}
}
