package mitm

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// aheadMost is how many bytes a client may send during a pause, beside what is
// in the kernel: requests that it pipelines. One that sends more is not looked
// after until the pause is over.
const aheadMost = 64 << 10

// errGone ends a session whose client left during a pause.
var errGone = errors.New("mitm: the client left during a pause")

// pause lets d pass, unless the client leaves before. What it sends meanwhile is
// read when the answer is given.
func (s *session) pause(d time.Duration) error {
	s.flush()
	if s.err != nil {
		return s.err
	}
	until := time.Now().Add(d)
	s.arm(until)
	defer s.arm(time.Time{})
	for time.Now().Before(until) {
		if len(s.ahead) >= aheadMost {
			select {
			case <-time.After(time.Until(until)):
			case <-s.over:
			}
			return nil
		}
		buf := make([]byte, startBuffer)
		n, err := s.c.Read(buf)
		s.ahead = append(s.ahead, buf[:n]...)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case errors.Is(err, io.EOF):
			return errGone
		case err != nil:
			return fmt.Errorf("%w: %w", errGone, err)
		}
	}
	return nil
}
