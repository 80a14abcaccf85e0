package cassette

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// spoolMemory is how much of a body is held in memory until it was looked at; what
// is longer goes to a file without a name.
const spoolMemory = 256 << 10

// A spool holds a body until it is known what is in it. What it holds is not
// redacted: it is never in a file that has a name. The zero value is empty.
type spool struct {
	mem  bytes.Buffer
	file *os.File // behind what is in mem; nil: nothing is
	size int64
}

// write appends b.
func (s *spool) write(b []byte) error {
	if s.file == nil && s.mem.Len()+len(b) > spoolMemory {
		f, err := nameless()
		if err != nil {
			return fmt.Errorf("hold a body to look for secrets: %w", err)
		}
		s.file = f
	}
	s.size += int64(len(b))
	if s.file == nil {
		s.mem.Write(b)
		return nil
	}
	_, err := s.file.Write(b)
	return err
}

// reader reads all that was written, from the start.
func (s *spool) reader() (io.Reader, error) {
	mem := bytes.NewReader(s.mem.Bytes())
	if s.file == nil {
		return mem, nil
	}
	return io.MultiReader(mem, io.NewSectionReader(s.file, 0, s.size-int64(s.mem.Len()))), nil
}

// each calls f with the pieces of what was written, and end behind the last.
func (s *spool) each(f func([]byte) error, end func()) error {
	r, err := s.reader()
	if err != nil {
		return err
	}
	buf := make([]byte, pieceSize)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if err := f(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			end()
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// close lets go of what was written.
func (s *spool) close() {
	if s.file != nil {
		s.file.Close()
	}
}

// removed is a new temporary file, removed while it is still empty.
func removed() (*os.File, error) {
	f, err := os.CreateTemp("", "serge-net-spool-*")
	if err != nil {
		return nil, err
	}
	_ = os.Remove(f.Name())
	return f, nil
}
