package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/serge-net/serge-net/redirect"
)

// oneWord says whether texts are but the word auto, or the word none.
func oneWord(texts []string) (auto, none bool) {
	return slices.Equal(texts, []string{"auto"}), slices.Equal(texts, []string{"none"})
}

// hostPorts reads --host-port: nil stands for auto.
func hostPorts(texts []string) ([]uint16, error) {
	auto, none := oneWord(texts)
	if auto {
		return nil, nil
	}
	if none {
		return []uint16{}, nil
	}
	return ports(texts)
}

// published reads --publish: nil stands for auto. A port alone is the same on
// both sides.
func published(texts []string) ([]redirect.Publish, error) {
	auto, none := oneWord(texts)
	if auto {
		return nil, nil
	}
	all := []redirect.Publish{}
	if none {
		return all, nil
	}
	for _, t := range texts {
		pair, err := ports(strings.Split(t, ":"))
		switch {
		case err != nil:
			return nil, err
		case len(pair) > 2:
			return nil, fmt.Errorf("%q has more than two ports", t)
		}
		all = append(all, redirect.Publish{Host: pair[0], Inner: pair[len(pair)-1]})
	}
	return all, nil
}
