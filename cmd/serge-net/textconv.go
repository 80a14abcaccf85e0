package main

import (
	"fmt"
	"io"
	"os"

	"github.com/serge-net/serge-net/cassette"
)

// showFile prints the file at path, a cassette in any format, as its JSON. It is
// what git calls to diff one (gitattributes(5), textconv).
func showFile(w io.Writer, dir rack, path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("show: %w", err)
	}
	key, err := dir.key()
	if err != nil {
		return err
	}
	text, err := cassette.Plain(b, key)
	if err != nil {
		return fmt.Errorf("show %s: %w", path, err)
	}
	_, err = w.Write(text)
	return err
}
