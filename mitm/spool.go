package mitm

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// spoolMemory is how much of a request that may have to go on to the origin is
// held in memory; what is longer goes to a file without a name.
const spoolMemory = 256 << 10

// A spool holds what was written to it until it is read. The zero value is empty.
type spool struct {
	mem  bytes.Buffer
	file *os.File
	size int64
}

// Write appends b.
func (s *spool) Write(b []byte) (int, error) {
	if s.file == nil && s.mem.Len()+len(b) > spoolMemory {
		f, err := os.CreateTemp("", "serge-net-spool-*")
		if err != nil {
			return 0, fmt.Errorf("spool a request: %w", err)
		}
		os.Remove(f.Name()) // gone with the descriptor; where that cannot be, Close removes it
		s.file = f
	}
	s.size += int64(len(b))
	if s.file != nil {
		return s.file.Write(b)
	}
	return s.mem.Write(b)
}

// reader reads all that was written, from the start.
func (s *spool) reader() io.Reader {
	if s.file == nil {
		return bytes.NewReader(s.mem.Bytes())
	}
	inFile := s.size - int64(s.mem.Len())
	return io.MultiReader(bytes.NewReader(s.mem.Bytes()), io.NewSectionReader(s.file, 0, inFile))
}

// reset empties s.
func (s *spool) reset() {
	if s.file != nil {
		s.file.Close()
		os.Remove(s.file.Name())
		s.file = nil
	}
	s.mem.Reset()
	s.size = 0
}
