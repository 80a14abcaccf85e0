package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// proposalsPath is where what the last run's misses proposed for the cassette at
// path is kept, beside what else can be made anew.
func proposalsPath(path string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	if path, err = filepath.Abs(path); err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(path))
	return filepath.Join(base, "serge-net", "missed", hex.EncodeToString(sum[:8])+".json"), nil
}

// keepProposals keeps the flags of accept that the misses of this run named, for
// accept --last. That they are not kept, where there is no home, is no harm.
func (e *engine) keepProposals() error {
	path, err := proposalsPath(e.cassettePath())
	if err != nil {
		return nil
	}
	flags := e.report.proposed()
	if len(flags) == 0 {
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	before := footprintOf([]string{filepath.Dir(filepath.Dir(path)), filepath.Dir(path), path})
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	b, err := json.Marshal(flags)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return err
	}
	before.own([]string{filepath.Dir(filepath.Dir(path)), filepath.Dir(path), path})
	return nil
}

// takeProposals sets c's flags to what was kept for the cassette at path.
func takeProposals(c *cobra.Command, path string) error {
	none := hint(fmt.Errorf("no miss of the last run of %s says what would make it match", path), "name the rule: serge-net accept -h")
	file, err := proposalsPath(path)
	if err != nil {
		return none
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return none
	}
	var flags []string
	if err := json.Unmarshal(b, &flags); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for _, f := range flags {
		if err := c.Flags().Parse(unquotedWords(f)); err != nil {
			return err
		}
	}
	return nil
}

// unquotedWords are the words of a line in which single quotes may stand around
// what has spaces in it.
func unquotedWords(s string) []string {
	var words []string
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		var word string
		if rest, ok := strings.CutPrefix(s, "'"); ok {
			word, s, _ = strings.Cut(rest, "'")
		} else {
			word, s, _ = strings.Cut(s, " ")
		}
		words = append(words, word)
	}
	return words
}

// proposed are the flags that misses named, each once.
func (r *report) proposed() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.flags)
}
