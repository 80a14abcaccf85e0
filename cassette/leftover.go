package cassette

import (
	"errors"
	"io/fs"
	"path"
	"time"
)

// A Leftover is what a recorder that died left behind.
type Leftover struct {
	Name      string
	Path      string    // of its journal
	PID       uint64    // of the recorder; 0 if the journal does not say
	Started   time.Time // UTC; zero if the journal does not say
	Exchanges int       // that Recover saves
	Skipped   int       // of which too little is known to replay them
	Lost      int64     // bytes at the journal's end that were cut or damaged
	Ended     bool      // the recorder had come to its end: nothing is missing
	Written   bool      // all of it is in the cassette: only the journal was not removed
}

// Inspect tells what Recover would save of the cassette called name, and changes
// nothing. The result is false if there is nothing; while it is being recorded
// the error is ErrBusy.
func (s *Store) Inspect(name string) (Leftover, bool, error) {
	l := Leftover{Name: name, Path: path.Join(s.dir, journalName(name))}
	if err := checkName(name); err != nil {
		return l, false, err
	}
	f, err := s.acquire(name, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return l, false, nil
	}
	if err != nil {
		return l, false, err
	}
	defer f.Close()
	root, err := s.opened()
	if err != nil {
		return l, false, err
	}
	t, err := s.readJournal(f)
	if err != nil {
		return l, true, s.unrecovered(name, err)
	}
	l.PID, l.Skipped, l.Lost, l.Ended = t.meta.pid, t.skipped, t.lost, t.clean
	if l.PID != 0 {
		l.Started = t.meta.start
	}
	l.Exchanges = len(t.takes)
	_, l.Written = s.committed(root, name)
	return l, true, nil
}
