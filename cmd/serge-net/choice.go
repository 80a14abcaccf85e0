package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// A choice is a flag whose value is one of a few words.
type choice struct {
	pflag.Value
	words []string
}

// Set implements pflag.Value.
func (c *choice) Set(s string) error {
	if slices.Contains(c.words, s) {
		return c.Value.Set(s)
	}
	if near := nearest(s, c.words); near != "" {
		return fmt.Errorf("did you mean %q? It is one of %s", near, strings.Join(c.words, ", "))
	}
	return fmt.Errorf("it is one of %s", strings.Join(c.words, ", "))
}

// Type names the value in the help text.
func (c *choice) Type() string { return strings.Join(c.words, "|") }
