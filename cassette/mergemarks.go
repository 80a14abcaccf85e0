package cassette

import (
	"cmp"
	"slices"
)

// body compares bodies by what they mean; those with secrets as text.
func (t *trial) body(a, b content) bool {
	if !a.marked || !b.marked {
		return a.marked == b.marked && sameBody(a, b)
	}
	x, ok, err := a.plainText()
	y, ok2, err2 := b.plainText()
	if !ok || !ok2 || err != nil || err2 != nil {
		return sameBody(a, b)
	}
	return a.coding == b.coding && t.text(x, y)
}

// bodyMarks is marks of the bodies of two requests.
func (t *trial) bodyMarks(a, b content) bool {
	if !a.marked && !b.marked {
		return true
	}
	x, ok, err := a.plainText()
	y, ok2, err2 := b.plainText()
	if err != nil || err2 != nil {
		return false
	}
	return !ok || !ok2 || t.marks(x, y)
}

// plainText is the bytes without their content coding, if they can be had.
func (b content) plainText() (string, bool, error) {
	data, ok, err := b.Body.text(coding(b.fields))
	return string(data), ok, err
}

// text compares text in the cassette's form, with placeholders bound one to one.
func (t *trial) text(a, b string) bool {
	x, _ := cutMarks(a)
	y, _ := cutMarks(b)
	return slices.Equal(x, y) && t.marks(a, b)
}

// marks binds the placeholders of a and b one to one. What is between them is not
// compared.
func (t *trial) marks(a, b string) bool {
	_, x := cutMarks(a)
	_, y := cutMarks(b)
	return slices.EqualFunc(x, y, t.bind)
}

// bind takes two placeholders for the same secret, if nothing contradicts that.
func (t *trial) bind(old, n string) bool {
	old, oldForm := cutForm(old)
	n, form := cutForm(n)
	if form != oldForm {
		return false
	}
	if classOf(old) != classOf(n) {
		return false
	}
	bound := cmp.Or(t.m.toOld[n], t.toOld[n])
	back := cmp.Or(t.m.toNew[old], t.toNew[old])
	if bound != "" || back != "" {
		return bound == old && back == n
	}
	t.toOld[n], t.toNew[old] = old, n
	return true
}
