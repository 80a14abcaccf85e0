package redirect

import (
	"errors"
	"testing"
)

func TestPeers(t *testing.T) {
	p := peers{theirs: parseMounts([]byte(`1 0 0:1 / / rw - ext4 none rw
2 1 0:2 / /etc rw shared:7 - ext4 none rw
3 2 0:3 / /etc/ssl/cert\040s rw shared:9 master:3 - ext4 none rw
4 1 0:4 / /usr rw master:7 - ext4 none rw
5 1 0:5 / /opt rw shared:7 - ext4 none rw
6 1 0:6 / /opt rw - tmpfs none rw
cut off
`)), ours: map[string]bool{"": false, "shared:7": true}}
	for path, seen := range map[string]bool{
		"/":                     false,
		"/etc":                  true,
		"/etc/pki":              true,
		"/etcetera":             false,
		"/etc/ssl/cert s/a.crt": false,
		"/usr/lib":              false,
		"/opt/x":                false,
	} {
		if err := p.none([]string{path}); errors.Is(err, ErrUnsupported) != seen || (err != nil) != seen {
			t.Errorf("none(%s) = %v; want an error: %v", path, err, seen)
		}
	}
}
