package cassette

import "fmt"

// A Question is a request that no recording answers by itself, and the recordings
// that somebody may say it is. They are not to be changed.
type Question struct {
	Request    *Request
	Candidates []*Interaction // of its route, else of its host; 200 at most
}

// An Answer says which candidate a request is, by its ID; "" is none of them.
type Answer struct{ ID, Because string }

// consult has opt.Callback decide on l, whose form is f.
func (p *Player) consult(l *live, f form) (*pick, error) {
	if p.opt.Callback == nil {
		return nil, nil
	}
	near, err := p.neighbours(f)
	if err != nil {
		return nil, err
	}
	q := Question{Request: &l.req}
	at := map[string]*slot{}
	for _, s := range near[:min(len(near), compareMost)] {
		q.Candidates = append(q.Candidates, s.it)
		at[s.it.ID] = s
	}
	if len(near) == 0 {
		return nil, nil
	}
	a, err := p.opt.Callback(q)
	if err != nil || a.ID == "" {
		return nil, err
	}
	s := at[a.ID]
	if s == nil {
		return nil, fmt.Errorf("match callback: it names %q, which is none of the candidates", a.ID)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	g, err := p.index.group(&s.form)
	if g == nil {
		return nil, err
	}
	for _, v := range g.parts() {
		if likeness(v.slots[0].it, &v.slots[0].form) == likeness(s.it, &s.form) {
			because := "the match callback says so"
			if a.Because != "" {
				because = "match callback: " + a.Because
			}
			return p.settle([]*offer{{variant: v, evidence: []string{because}}}, f), nil
		}
	}
	return nil, nil
}

// neighbours are recordings of f's route, else of its host.
func (p *Player) neighbours(f form) ([]*slot, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	near, _, err := p.index.route(&f)
	if len(near) == 0 && err == nil {
		near, _, err = p.index.host(&f)
	}
	return near, err
}
