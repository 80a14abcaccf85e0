package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// A choice is a flag whose value is one of a few words, or fits.
type choice struct {
	pflag.Value
	words []string
	forms []string            // of what fits, as the help shows them
	fits  func(s string) bool // nil: nothing but the words
}

// or has c take what fits too, which has one of forms.
func (c *choice) or(fits func(string) bool, forms ...string) { c.fits, c.forms = fits, forms }

// Set implements pflag.Value.
func (c *choice) Set(s string) error {
	if slices.Contains(c.words, s) || c.fits != nil && c.fits(s) {
		return c.Value.Set(s)
	}
	err := fmt.Errorf("not one of %s", strings.Join(slices.Concat(c.words, c.forms), ", "))
	if near := nearest(s, c.words); near != "" {
		return hint(err, "did you mean %s?", near)
	}
	return err
}

// Type names the value in the help text.
func (c *choice) Type() string { return strings.Join(slices.Concat(c.words, c.forms), "|") }
