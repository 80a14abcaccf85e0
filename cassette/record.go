package cassette

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// ErrBusy is wrapped when another recorder is at work on a cassette.
var ErrBusy = errors.New("cassette: is being recorded")

// Record starts to record the cassette called name. The old one, if there is
// one, stays until the Recorder is closed. A journal that a recorder left
// behind when it died is compacted first, as Recover does.
func (s *Store) Record(name string, opt RecordOptions) (*Recorder, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if _, err := s.made(); err != nil {
		return nil, err
	}
	if c, exists, err := s.old(name); err != nil {
		return nil, err
	} else if opt.Append && exists && c == nil {
		_, err := s.load(name)
		return nil, err
	} else if c != nil {
		c.Close()
	}
	seal, err := s.sealing(name, opt.Encrypt)
	if err != nil {
		return nil, err
	}
	f, err := s.acquire(name, os.O_CREATE)
	if err != nil {
		return nil, err
	}
	if _, _, err := s.recover(name, f); err != nil {
		f.Close()
		return nil, s.unrecovered(name, err)
	}
	if err := s.mend(name); err != nil {
		s.release(name, f)
		return nil, fmt.Errorf("record %s: %w", name, err)
	}
	r := &Recorder{store: s, name: name, opt: opt, seal: seal, start: time.Now(), file: f, write: f.Write, secrets: newSecrets()}
	r.hide = opt.Redact.hider(r.substitute)
	if !opt.Start.IsZero() {
		r.start = opt.Start
	}
	if err := r.begin(); err != nil {
		s.release(name, f)
		return nil, fmt.Errorf("record %s: write journal: %w", name, err)
	}
	return r, nil
}

// sealing is what a recording of the cassette called name is encrypted by: what
// the cassette is, or, if encrypt is set, a sealing of its own. Nil is none.
func (s *Store) sealing(name string, encrypt bool) (*sealing, error) {
	root, err := s.made()
	if err != nil {
		return nil, err
	}
	b, err := s.target(root, name, nil, JSON)
	switch {
	case err != nil:
		return nil, fmt.Errorf("record %s: %w", s.Path(name), err)
	case b.seal != nil:
		return b.seal, nil
	case !encrypt && b.format != Encrypted:
		return nil, nil
	}
	seal, err := s.key.fresh()
	if err != nil {
		return nil, fmt.Errorf("record %s: %w", s.Path(name), err)
	}
	return seal, nil
}

// begin makes the journal one of r.
func (r *Recorder) begin() error {
	if err := r.file.Truncate(0); err != nil {
		return err
	}
	m := meta{pid: uint64(os.Getpid()), name: r.name, with: r.opt.With, start: r.start.UTC().Truncate(time.Millisecond), append: r.opt.Append, format: r.opt.Format}
	if m.append {
		m.base = r.store.base(r.name)
	}
	if r.seal != nil {
		scribe, err := r.seal.scribe(r.file)
		if err != nil {
			return err
		}
		r.write = scribe.Write
	}
	p := pen{b: []byte(journalMagic)}
	p.meta(m)
	_, err := r.write(p.b)
	return err
}

// acquire opens and locks the journal of the cassette called name.
func (s *Store) acquire(name string, flag int) (*os.File, error) {
	root, err := s.opened()
	if err != nil {
		return nil, err
	}
	journal := journalName(name)
	if dir := path.Dir(journal); flag&os.O_CREATE != 0 && dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("make cassette directory: %w", err)
		}
	}
	for {
		f, err := root.OpenFile(journal, os.O_RDWR|os.O_APPEND|flag, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open journal %s: %w", path.Join(s.dir, journal), reason(err))
		}
		ours, err := lock(f)
		switch {
		case err != nil:
			f.Close()
			return nil, fmt.Errorf("lock journal of %s: %w", name, err)
		case !ours:
			defer f.Close()
			return nil, fmt.Errorf("%w: %s by process %s; wait for it, or choose another name with --cassette", ErrBusy, name, holder(f))
		}
		// The one before us may have removed the file between open and lock.
		if here, err := root.Stat(journal); err == nil {
			if info, err := f.Stat(); err == nil && os.SameFile(here, info) {
				return f, nil
			}
		}
		f.Close()
	}
}

// holder is the process that a journal says it is written by.
func holder(f *os.File) string {
	pid := "(unknown)"
	head := make([]byte, len(sealedJournalMagic)+4)
	if _, err := f.ReadAt(head, 0); err == nil && strings.HasPrefix(string(head), sealedJournalMagic) {
		return fmt.Sprint(binary.LittleEndian.Uint32(head[len(sealedJournalMagic):]))
	}
	_, _ = scanJournal(io.NewSectionReader(f, 0, recordMost), func(typ byte, payload []byte, _ int64) error {
		if typ == recMeta {
			pid = fmt.Sprint((&eye{b: payload}).meta().pid)
		}
		return io.EOF
	})
	return pid
}

// release removes the journal, which is in the cassette, and lets go of it.
func (s *Store) release(name string, f *os.File) {
	root, err := s.opened()
	if err == nil {
		s.empty(root, name, f)
		s.step("remove " + journalName(name))
		err = root.Remove(journalName(name))
	}
	f.Close()
	if err != nil && root != nil {
		_ = root.Remove(journalName(name)) // where open files cannot be removed
	}
}

// empty empties the journal in f, which is in the cassette, and only then forgets
// that it is.
func (s *Store) empty(root *os.Root, name string, f *os.File) {
	s.step("empty " + journalName(name))
	if f.Truncate(0) == nil {
		s.step("remove " + noteName(name))
		_ = root.Remove(noteName(name))
	}
}

// Recover makes the journal that a recorder of name left behind when it died a
// cassette, marked incomplete unless the recorder had come to its end. The
// result is false if there was none.
func (s *Store) Recover(name string) (Summary, bool, error) {
	if err := checkName(name); err != nil {
		return Summary{}, false, err
	}
	f, err := s.acquire(name, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return Summary{}, false, nil
	}
	if err != nil {
		return Summary{}, false, err
	}
	sum, was, err := s.recover(name, f)
	if err != nil {
		f.Close()
		return sum, was, s.unrecovered(name, err)
	}
	s.release(name, f)
	return sum, was, nil
}

// unrecovered is err with the journal that it is of and what to do.
func (s *Store) unrecovered(name string, err error) error {
	if errors.Is(err, ErrKey) {
		return fmt.Errorf("recover the recording of %s that was cut off: %w", name, err)
	}
	return fmt.Errorf("recover the recording of %s that was cut off: %w; if it is of no use, remove %s", name, err, path.Join(s.dir, journalName(name)))
}

// readJournal reads the journal in f, encrypted or not.
func (s *Store) readJournal(f *os.File) (*tape, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	text, size, seal, err := s.key.openJournal(f, info.Size())
	if err != nil {
		return nil, err
	}
	t, err := readTape(text, size)
	if err != nil {
		return nil, err
	}
	t.seal = seal
	return t, nil
}

// recover compacts what is in f, which is locked, and empties it.
func (s *Store) recover(name string, f *os.File) (Summary, bool, error) {
	root, err := s.opened()
	if err != nil {
		return Summary{}, false, err
	}
	if s.finish(root, name) {
		s.empty(root, name, f)
		return Summary{}, false, nil
	}
	info, err := f.Stat()
	if err != nil || info.Size() <= int64(len(journalMagic)) {
		return Summary{}, false, err
	}
	t, err := s.readJournal(f)
	if err != nil {
		return Summary{}, true, err
	}
	if t.meta.name == "" {
		t.meta.name = name
	}
	sum, err := s.compact(t, name, RecordOptions{}, t.failed || !t.clean)
	if err == nil {
		s.empty(root, name, f)
	}
	return sum, true, err
}

// Close ends the recording and makes the journal a cassette. failed says that
// the command failed. If something that happened is missing, because the disk
// was full or because failed is set, an old complete cassette stays as it is
// and the new one goes to the directory .failed beside it; a first one is kept
// and marked incomplete. In the former case the error wraps ErrIncomplete. An
// empty recording is not written. If it cannot be written, the journal stays
// for Recover. A second Close returns ErrClosed. Of a Recorder that Observe
// made, Close lets go of what was recorded.
func (r *Recorder) Close(failed bool) (Summary, error) {
	if r.store == nil {
		return Summary{}, r.discard()
	}
	cause, err := r.finish(failed)
	if err != nil {
		return Summary{}, err
	}
	t, err := r.store.readJournal(r.file)
	var sum Summary
	if err == nil {
		t.guard = r.hide
		sum, err = r.store.compact(t, r.name, r.opt, failed || cause != nil)
	}
	if errors.Is(err, ErrSecret) { // nor may the journal stay
		r.store.release(r.name, r.file)
		return Summary{Name: r.name}, fmt.Errorf("%w: %w", ErrIncomplete, err)
	}
	if err != nil {
		r.file.Close()
		if cause != nil {
			err = fmt.Errorf("%w; before that, %w", err, cause)
		}
		return sum, fmt.Errorf("%w: %w; what was recorded is kept in %s and recovered by the next run",
			ErrIncomplete, err, path.Join(r.store.dir, journalName(r.name)))
	}
	r.store.release(r.name, r.file)
	if cause != nil {
		return sum, fmt.Errorf("%w: %w", ErrIncomplete, cause)
	}
	return sum, nil
}

// finish stops the recording and returns why it is incomplete, if it is.
func (r *Recorder) finish(failed bool) (cause, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, ErrClosed
	}
	r.own.b = r.own.b[:0]
	r.own.begin(recClosed)
	r.own.flag(failed)
	r.own.end()
	cause = r.err
	if err := r.append(bytes.Clone(r.own.b)); cause == nil && err != nil {
		cause = err
	}
	r.closed = true
	return cause, nil
}
