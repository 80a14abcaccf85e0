package cassette

import "slices"

// settled is i with body files named for what does not stand in the cassette, as
// it is of a JSON form: nothing is written.
func (i *Interaction) settled() (*Interaction, error) {
	j := *i
	if i.Response != nil {
		j.Response = new(*i.Response)
	}
	j.Upgraded = slices.Clone(i.Upgraded)
	return &j, (&compaction{}).settle([]*Interaction{&j})
}
