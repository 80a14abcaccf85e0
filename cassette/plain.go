package cassette

// settled is i with body files named for what does not stand in the cassette, as
// it is of a JSON form: nothing is written.
func (i *Interaction) settled() (*Interaction, error) {
	j := i.detached()
	return j, (&compaction{}).settle([]*Interaction{j})
}
