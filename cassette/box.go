package cassette

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// A Format is a form that the file of a cassette is in. It is also the end of the
// file's name, without the dot before it.
type Format string

// The formats. All hold the same. A cassette that is there keeps its own:
// see Store.Convert.
const (
	JSON      Format = "json"
	Gzip      Format = "json.gz"
	Zstd      Format = "json.zst"
	Encrypted Format = "json.enc" // its bodies and its journal are encrypted too

	MessagePack Format = "smpk" // not JSON, but what that holds, made for size: see Mount
)

// Forms are those that a cassette can have, the default first.
func Formats() []Format { return []Format{JSON, Gzip, Zstd, Encrypted, MessagePack} }

// ErrForms is wrapped when a cassette is there in two forms: which one is meant
// is not ours to guess.
var ErrForms = errors.New("cassette: is there twice")

// unpackedMost is how much a compressed cassette may come to, in bytes. A file of
// a megabyte can be made that fills any memory.
const unpackedMost = 1 << 30

// zstdWindow is how far back a zstd file may refer, in bytes: what zstd --long
// writes and more, and what reading one may take of memory.
const zstdWindow = 256 << 20

// end is the end of the name of a file in form f.
func (f Format) end() string { return "." + string(f) }

// cutFormat is the name of the cassette that is in a file, and its form.
func cutFormat(file string) (name string, f Format, ok bool) {
	for _, f := range slices.Backward(Formats()) {
		if name, ok := strings.CutSuffix(file, f.end()); ok {
			return name, f, true
		}
	}
	return "", "", false
}

// A box is the file that a cassette is in.
type box struct {
	format Format   // by the file's name
	seal   *sealing // what it is encrypted by, or nil
}

// same tells whether the files of a and o are written alike.
func (b box) same(o box) bool {
	return b.format == o.format && (b.seal == nil) == (o.seal == nil) && (b.seal == nil || b.seal.kdf == o.seal.kdf)
}

// packing tells by its first bytes how a file is packed.
func packing(start []byte) Format {
	for f, magic := range map[Format]string{Gzip: "\x1f\x8b", Zstd: "\x28\xb5\x2f\xfd", Encrypted: sealMagic} {
		if bytes.HasPrefix(start, []byte(magic)) {
			return f
		}
	}
	return JSON
}

// present are the formats in which the cassette called name is there.
func (s *Store) present(root *os.Root, name string) []Format {
	var fs []Format
	for _, f := range Formats() {
		if _, err := root.Lstat(name + f.end()); err == nil {
			fs = append(fs, f)
		}
	}
	return fs
}

// find is the box of the cassette called name. If there is none, the error is
// fs.ErrNotExist.
func (s *Store) find(root *os.Root, name string) (box, error) {
	there := s.present(root, name)
	switch {
	case len(there) == 0:
		return box{}, &fs.PathError{Op: "open", Path: name + JSON.end(), Err: fs.ErrNotExist}
	case len(there) > 1:
		file := path.Join(s.dir, name)
		return box{}, fmt.Errorf("%w: as %s and as %s; remove the one that is not meant", ErrForms, file+there[0].end(), file+there[1].end())
	}
	b := box{format: there[0]}
	f, err := root.Open(name + b.format.end())
	if err != nil {
		return b, err
	}
	defer f.Close()
	start := make([]byte, sealHead)
	n, err := io.ReadFull(f, start)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return b, err
	}
	switch is := packing(start[:n]); {
	case is == Encrypted:
		b.seal, err = s.key.unseal(start[:n])
		return b, err
	case b.format == Encrypted:
		return b, errors.New("it is not encrypted, though its name says so: rename it, or encrypt it with serge-net convert")
	}
	return b, nil
}

// text is the JSON of the cassette called name, and the box that it is in. The
// error says where it is; if there is none, it is fs.ErrNotExist.
func (s *Store) text(root *os.Root, name string) ([]byte, box, error) {
	b, err := s.find(root, name)
	if err != nil {
		return nil, b, fmt.Errorf("%s: %w", s.Path(name), err)
	}
	file, err := root.ReadFile(name + b.format.end())
	if err != nil {
		return nil, b, fmt.Errorf("%s: %w", s.Path(name), err)
	}
	text, err := s.key.unpack(file)
	if err != nil {
		return nil, b, inFile(s.Path(name), nil, err)
	}
	return text, b, nil
}

// files opens the body files of the cassette called name, which is in b.
func (s *Store) files(root *os.Root, b box, name string) opener {
	return func(file string) (io.ReadCloser, error) { return s.openBody(root, b, name+bodiesEnd+"/"+file) }
}

// unpack is the JSON in file, which may be packed otherwise than its name says.
func (k *Key) unpack(file []byte) ([]byte, error) {
	if packing(file) != Encrypted {
		return decompress(file, unpackedMost)
	}
	u, err := k.unsealer(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(u)
}

// decompress is what is in file, at most most bytes if it is compressed.
func decompress(file []byte, most int64) ([]byte, error) {
	switch packing(file) {
	case Gzip:
		return bounded(func() (io.ReadCloser, error) { return gzip.NewReader(bytes.NewReader(file)) }, most)
	case Zstd:
		return bounded(func() (io.ReadCloser, error) {
			d, err := zstd.NewReader(bytes.NewReader(file), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow))
			if err != nil {
				return nil, err
			}
			return d.IOReadCloser(), nil
		}, most)
	}
	return file, nil
}

// bounded reads all of what open opens, or says that it is more than most bytes.
// It reads twice: what is too much never takes the memory.
func bounded(open func() (io.ReadCloser, error), most int64) ([]byte, error) {
	var b bytes.Buffer
	for _, to := range []io.Writer{io.Discard, &b} {
		r, err := open()
		if err != nil {
			return nil, fmt.Errorf("decompress: %w", err)
		}
		n, err := io.Copy(to, io.LimitReader(r, most+1))
		r.Close()
		switch {
		case err != nil:
			return nil, fmt.Errorf("decompress: %w", err)
		case n > most:
			return nil, fmt.Errorf("decompressed it is over %d MiB, which is the most a compressed cassette may be", most>>20)
		}
		b.Grow(int(n))
	}
	return b.Bytes(), nil
}

// pack has print write to w in the form of b.
func (b box) pack(w io.Writer, print func(io.Writer) error) error {
	var to io.WriteCloser
	var err error
	switch {
	case b.seal != nil:
		to, err = b.seal.sealer(w)
	case b.format == Gzip:
		to = gzip.NewWriter(w) // without a name or a time: equal cassettes, equal files
	case b.format == Zstd:
		to, err = zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	default:
		return print(w)
	}
	if err != nil {
		return err
	}
	return errors.Join(print(to), to.Close())
}

// sealed has print write to w, encrypted if b is: bodies are not compressed.
func (b box) sealed(w io.Writer, print func(io.Writer) error) error {
	return box{format: JSON, seal: b.seal}.pack(w, print)
}

// openBody opens a body file of the cassette called name.
func (s *Store) openBody(root *os.Root, b box, name string) (io.ReadCloser, error) {
	f, err := root.Open(name)
	if err != nil || b.seal == nil {
		return f, err
	}
	u, err := s.key.unsealer(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("body file %s: %w", path.Base(name), err)
	}
	return struct {
		io.Reader
		io.Closer
	}{u, f}, nil
}

// bodySize is how long a body of n bytes is as a file.
func (b box) bodySize(n int64) int64 {
	if b.seal == nil {
		return n
	}
	return sealedSize(n)
}
