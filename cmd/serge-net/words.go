package main

import (
	"slices"
	"strings"
)

// shellWords is argv as it is typed.
func shellWords(argv []string) string {
	words := slices.Clone(argv)
	for i, w := range words {
		plain := func(c rune) bool {
			return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("_@%+=:,./-", c)
		}
		if w == "" || strings.ContainsFunc(w, func(c rune) bool { return !plain(c) }) {
			words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}
