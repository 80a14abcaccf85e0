package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/serge-net/serge-net/cassette/descriptor"
)

// describedBy is what the files of --proto describe: .proto files, whose imports
// are beside them or above, and descriptor sets. It is nil if there are none.
func describedBy(files []string) (*descriptor.Set, error) {
	if len(files) == 0 {
		return nil, nil
	}
	set := &descriptor.Set{}
	for _, file := range files {
		if err := describe(set, file); err != nil {
			return nil, hintUnlessHinted(fmt.Errorf("--proto: %w", err), "it names a .proto file, or a descriptor set, as protoc --include_imports --descriptor_set_out and buf build write it")
		}
	}
	return set, nil
}

// describe adds to set what file describes.
func describe(set *descriptor.Set, file string) error {
	if !strings.HasSuffix(file, ".proto") {
		b, err := os.ReadFile(file)
		if err == nil {
			err = set.AddSet(b)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", file, withoutPath(err))
		}
		return nil
	}
	dir, name := filepath.Split(file)
	return set.AddSource(name, func(name string) ([]byte, error) { return imported(dir, name) })
}

// imported is the .proto file that is called name from dir: in it, or in the
// nearest directory above, as its root is not known.
func imported(dir, name string) ([]byte, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	for {
		b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		above := filepath.Dir(dir)
		if err == nil || !errors.Is(err, fs.ErrNotExist) || above == dir {
			return b, withoutPath(err)
		}
		dir = above
	}
}

// withoutPath is err without the path that it says.
func withoutPath(err error) error {
	var of *fs.PathError
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}
