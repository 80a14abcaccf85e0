package secret

import (
	"regexp"
	"sync"
)

// The expressions that are read only where a name was found. Each is compiled
// once: they are values, as constants would be if Go had such.
var (
	// assigned is what may stand between a name and its value: the end of the
	// name's quotes or brackets, what assigns, and the opening quote.
	assigned = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(?:\\?["']|%22|\]|%5[Dd]){0,2}[ \t\r\n]{0,8}(=>|[:=>]|%3[AaDd]|"(?:; [^\r\n]{1,40})?\r\n\r\n)[ \t\r\n]{0,8}(\\?["']|%22)?`)
	})
	// partly is the beginning of what assigned may match.
	partly = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[\\"'%0-9A-Da-d\]: =>\t\r\n]*$|^";? ?[^\r\n]{0,40}\r?\n?\r?$`)
	})
)

// pattern is the probe of a user's expression that begins with prefix.
func pattern(prefix string, re *regexp.Regexp) probe {
	return probe{prefix, func(b []byte, at int, final bool) (f Finding, v verdict) {
		if v := matches(b, at, prefix, final, false); v != yes {
			return f, v
		}
		m := re.FindSubmatchIndex(b[at:min(len(b), at+Most)])
		if m == nil || m[0] != 0 {
			if !final && len(b)-at < patternMost {
				return f, more
			}
			return f, no
		}
		f = matched(b, at, m)
		if f.To == len(b) && !final {
			return f, more
		}
		return f, yes
	}}
}

// classed is an expression and the class of what it finds.
type classed struct {
	class string
	re    *regexp.Regexp
}

// personal are the expressions of what tells of a person.
func personal() []classed {
	const byte8 = `(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])`
	return []classed{
		{"email", regexp.MustCompile(`[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}`)},
		{"phone", regexp.MustCompile(`\+[1-9][0-9]{0,2}[ .-]?\(?[0-9]{1,4}\)?(?:[ .-]?[0-9]{2,4}){2,4}`)},
		{"ip", regexp.MustCompile(`\b(?:` + byte8 + `\.){3}` + byte8 + `\b`)},
		{"ip", regexp.MustCompile(`\b(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}\b`)},
	}
}
