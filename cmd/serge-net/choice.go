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
	err := fmt.Errorf("not one of %s", strings.Join(c.words, ", "))
	if near := nearest(s, c.words); near != "" {
		return hint(err, "did you mean %s?", near)
	}
	return err
}

// Type names the value in the help text.
func (c *choice) Type() string { return strings.Join(c.words, "|") }
