package cassette

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// Observe starts a recording that no Store keeps: its journal is a temporary
// file without a name, gone with the process. Observed ends it; Close lets go.
func Observe(opt RecordOptions) (*Recorder, error) {
	f, err := os.CreateTemp("", "serge-net-observed-*")
	if err != nil {
		return nil, fmt.Errorf("observe: %w", err)
	}
	_ = os.Remove(f.Name()) // where that cannot be while it is open, discard does it
	r := &Recorder{opt: opt, start: time.Now(), file: f, write: f.Write, secrets: newSecrets()}
	r.hide = opt.Redact.hider(r.substitute)
	if err := r.begin(); err != nil {
		return nil, errors.Join(fmt.Errorf("observe: write journal: %w", err), r.discard())
	}
	return r, nil
}

// Observed ends a recording that Observe began and returns it as a cassette,
// which is good until Close. If something that happened is missing in it, the
// error wraps ErrIncomplete, and the cassette holds the rest.
func (r *Recorder) Observed() (*Cassette, error) {
	cause, err := r.finish(false)
	if err != nil {
		return nil, err
	}
	info, err := r.file.Stat()
	if err != nil {
		return nil, fmt.Errorf("observe: %w", err)
	}
	t, err := readTape(r.file, info.Size())
	if err != nil {
		return nil, fmt.Errorf("observe: %w", err)
	}
	t.guard = r.hide
	news, err := t.interactions()
	if err != nil {
		return nil, fmt.Errorf("observe: %w", err)
	}
	c, _ := combine(t, nil, order(news, t.shapes), r.opt, cause != nil, &Summary{})
	if cause != nil {
		return c, fmt.Errorf("%w: %w", ErrIncomplete, cause)
	}
	return c, nil
}

// discard lets go of a journal without a name.
func (r *Recorder) discard() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	err := r.file.Close()
	if e := os.Remove(r.file.Name()); e != nil && !errors.Is(e, os.ErrNotExist) {
		err = errors.Join(err, e)
	}
	return err
}
