package secret

import (
	"net/url"
	"slices"
	"strings"
)

// Environment returns the secrets of environ, which is as os.Environ has it: the
// values of the variables whose names say that they hold one (TOKEN, SECRET,
// PASSWORD, PASSWD, KEY, CREDENTIAL), but for paths, addresses without a
// password, words, and what is shorter than Least.
func Environment(environ []string) []Known {
	var out []Known
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		value = strings.TrimSpace(value)
		if secretName(name) && secretValue(name, value) {
			k := Known{"env", value}
			if !slices.Contains(out, k) {
				out = append(out, k)
			}
		}
	}
	return out
}

// secretName says whether a variable of this name holds a secret.
func secretName(name string) bool {
	upper := strings.ToUpper(name)
	for _, w := range []string{"TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "KEY", "CREDENTIAL"} {
		if strings.Contains(upper, w) {
			return true
		}
	}
	return false
}

// secretValue says whether value can be the secret that name says it is.
func secretValue(name, value string) bool {
	upper := strings.ToUpper(name)
	u, err := url.Parse(value)
	switch {
	case len(value) < Least || len(value) > Most/8, common(value):
		return false
	case strings.HasPrefix(value, "/") && strings.Count(value, "/") > 1 && !strings.ContainsAny(value, "+="), strings.HasPrefix(value, "./"), strings.HasPrefix(value, "~/"), strings.HasPrefix(value, "../"):
		return false // a path
	case err == nil && u.Scheme != "" && u.Host != "" && u.User == nil && u.RawQuery == "":
		return false // an address
	case strings.HasSuffix(upper, "_FILE"), strings.HasSuffix(upper, "_PATH"), strings.HasSuffix(upper, "_URL"), strings.HasSuffix(upper, "_NAME"), strings.HasSuffix(upper, "_HEADER"):
		return strings.Contains(value, "@") || drawn(value) && !strings.ContainsAny(value, "./")
	case strings.Contains(upper, "KEY") && !strings.Contains(upper, "SECRET") && !strings.Contains(upper, "PASS"):
		return drawn(value) || strings.Contains(value, "PRIVATE KEY") // KEYBOARD=querty…, MONKEY=…
	}
	return true
}
