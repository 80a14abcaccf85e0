package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/cassette"
)

// keyVariable holds the key of encrypted cassettes. The command does not see it.
const keyVariable = "SERGE_KEY"

// keyMost is how long a key file is at most, in bytes: more is another file.
const keyMost = 4 << 10

// A rack is a directory of cassettes and whose key opens the encrypted ones.
type rack struct {
	dir     string
	keyFile string // "" if the key, if there is one, is in SERGE_KEY
}

// register declares on c where the cassettes are and where their key is.
func (s *rack) register(c *cobra.Command) {
	c.Flags().StringVar(&s.dir, "cassette-dir", "./cassettes", "the `DIR` that cassettes are in")
	c.Flags().StringVar(&s.keyFile, "key-file", "", "the `FILE` with the key of encrypted cassettes: 32 bytes in hex or base64, or a passphrase; else it is SERGE_KEY")
	c.MarkFlagDirname("cassette-dir")
	c.MarkFlagFilename("key-file")
}

// open opens the directory. The caller closes it.
func (s rack) open() (*cassette.Store, error) {
	store, err := cassette.Open(s.dir)
	if err != nil {
		return nil, err
	}
	key, err := s.key()
	if err != nil {
		store.Close()
		return nil, err
	}
	store.Unlock(key)
	return store, nil
}

// key is the key of encrypted cassettes, nil if none is given.
func (s rack) key() (*cassette.Key, error) {
	text, where := os.Getenv(keyVariable), keyVariable
	if s.keyFile != "" {
		where = "--key-file " + s.keyFile
		info, err := os.Stat(s.keyFile)
		if err != nil {
			return nil, hint(fmt.Errorf("--key-file: %w", err), "it names a file that holds the key; without it the key is SERGE_KEY")
		}
		if !info.Mode().IsRegular() && info.Mode()&os.ModeNamedPipe == 0 || info.Size() > keyMost {
			return nil, hint(fmt.Errorf("%s: is no file of at most %d bytes", where, keyMost), "a key is 32 bytes in hex or base64, or a passphrase")
		}
		b, err := os.ReadFile(s.keyFile)
		if err != nil {
			return nil, fmt.Errorf("--key-file: %w", err)
		}
		text = string(b)
	} else if text == "" {
		return nil, nil
	}
	key, err := cassette.ParseKey(text)
	if err != nil {
		return nil, hint(fmt.Errorf("%s: %w", where, err), "make one: openssl rand -hex 32")
	}
	return key, nil
}

// withoutKey is env without the key of encrypted cassettes, which is not the
// command's.
func withoutKey(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(kv string) bool { return strings.HasPrefix(kv, keyVariable+"=") })
}
