package secret

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// A token is a kind of secret that its issuer gave a prefix, so that it can be
// told in any text.
type token struct {
	class       string
	prefix      string
	of          string // what follows is made of, as letters reads it
	least, most int    // how much follows, in bytes
}

// What tokens are made of.
const (
	alnum  = "a~zA~Z0~9"
	word   = alnum + "_"
	slug   = word + "-"
	hexes  = "0~9a~f"
	upperd = "A~Z0~9"
	b64    = alnum + "+/="
)

// issued are the tokens by issuer. Shapes are from the issuers' documentation.
func issued() []token {
	return []token{
		{"aws", "AKIA", upperd, 16, 16}, {"aws", "ASIA", upperd, 16, 16}, {"aws", "ABIA", upperd, 16, 16}, {"aws", "ACCA", upperd, 16, 16},
		{"alibaba", "LTAI", alnum, 12, 24},
		{"github", "ghp_", alnum, 36, 255}, {"github", "gho_", alnum, 36, 255}, {"github", "ghu_", alnum, 36, 255},
		{"github", "ghs_", alnum, 36, 255}, {"github", "ghr_", alnum, 36, 255}, {"github", "github_pat_", word, 22, 255},
		{"gitlab", "glpat-", slug + ".", 20, 300}, {"gitlab", "gldt-", slug, 20, 64}, {"gitlab", "glrt-", slug + ".", 20, 300},
		{"gitlab", "glcbt-", slug, 20, 64}, {"gitlab", "glptt-", slug, 20, 64}, {"gitlab", "glft-", slug, 20, 64},
		{"gitlab", "glimt-", slug, 20, 64}, {"gitlab", "glagent-", slug, 40, 64}, {"gitlab", "gloas-", slug, 40, 80}, {"gitlab", "glsoat-", slug, 20, 64},
		{"slack", "xoxb-", slug, 20, 255}, {"slack", "xoxp-", slug, 20, 255}, {"slack", "xoxa-", slug, 20, 255}, {"slack", "xoxr-", slug, 20, 255},
		{"slack", "xoxs-", slug, 20, 255}, {"slack", "xoxe-", slug, 20, 255}, {"slack", "xoxe.xox", slug + ".", 20, 255}, {"slack", "xapp-", slug, 20, 255},
		{"slack", "hooks.slack.com/services/", slug + "/", 30, 80},
		{"discord", "discord.com/api/webhooks/", slug + "/", 40, 120},
		{"stripe", "sk_live_", alnum, 10, 255}, {"stripe", "sk_test_", alnum, 10, 255}, {"stripe", "rk_live_", alnum, 10, 255},
		{"stripe", "rk_test_", alnum, 10, 255}, {"stripe", "whsec_", b64, 24, 64},
		{"google", "AIza", slug, 35, 35}, {"google", "ya29.", slug + ".", 20, 1024}, {"google", "GOCSPX-", slug, 28, 28}, {"google", "1//0", slug, 40, 255},
		{"openai", "sk-proj-", slug, 20, 255}, {"openai", "sk-svcacct-", slug, 20, 255}, {"openai", "sk-admin-", slug, 20, 255},
		{"anthropic", "sk-ant-", slug, 20, 255}, {"openrouter", "sk-or-v1-", hexes, 64, 64},
		{"npm", "npm_", alnum, 36, 36}, {"pypi", "pypi-AgE", slug, 50, 1024}, {"rubygems", "rubygems_", hexes, 48, 48},
		{"docker", "dckr_pat_", slug, 20, 64}, {"docker", "dckr_oat_", slug, 20, 64},
		{"digitalocean", "dop_v1_", hexes, 64, 64}, {"digitalocean", "doo_v1_", hexes, 64, 64}, {"digitalocean", "dor_v1_", hexes, 64, 64},
		{"heroku", "HRKU-", slug, 36, 80},
		{"shopify", "shpat_", alnum, 32, 32}, {"shopify", "shpca_", alnum, 32, 32}, {"shopify", "shppa_", alnum, 32, 32}, {"shopify", "shpss_", alnum, 32, 32},
		{"twilio", "twilio:SK", hexes, 32, 32},
		{"square", "sq0atp-", slug, 22, 22}, {"square", "sq0csp-", slug, 43, 43},
		{"brevo", "xkeysib-", hexes + "-" + alnum, 64, 90},
		{"databricks", "dapi", hexes + "-", 32, 36}, {"doppler", "dp.pt.", alnum, 40, 44}, {"doppler", "dp.st.", slug + ".", 40, 80},
		{"linear", "lin_api_", alnum, 40, 40}, {"notion", "ntn_", alnum, 40, 50}, {"postman", "PMAK-", hexes + "-", 59, 59},
		{"newrelic", "NRAK-", upperd, 27, 27}, {"grafana", "glsa_", word, 41, 41}, {"grafana", "glc_", b64, 32, 400},
		{"planetscale", "pscale_tkn_", slug + ".", 32, 64}, {"planetscale", "pscale_pw_", slug + ".", 32, 64}, {"planetscale", "pscale_oauth_", slug + ".", 32, 64},
		{"prefect", "pnu_", alnum, 36, 36}, {"sentry", "sntrys_", b64 + "_-", 60, 400}, {"sentry", "sntryu_", hexes, 64, 64},
		{"typeform", "tfp_", slug + ".", 40, 80}, {"easypost", "EZAK", alnum, 54, 54}, {"easypost", "EZTK", alnum, 54, 54},
		{"dynatrace", "dt0c01.", alnum + ".", 88, 90}, {"duffel", "duffel_live_", slug, 43, 43}, {"atlassian", "ATATT3", slug + "=", 100, 255},
		{"artifactory", "AKCp", alnum, 60, 80}, {"figma", "figd_", slug, 38, 60}, {"supabase", "sbp_", hexes, 40, 40},
		{"tailscale", "tskey-", slug, 20, 80}, {"perplexity", "pplx-", alnum, 40, 60}, {"groq", "gsk_", alnum, 48, 56},
		{"vault", "hvs.", slug, 24, 255}, {"vault", "hvb.", slug, 24, 400}, {"huggingface", "hf_", alnum, 34, 40}, {"replicate", "r8_", alnum, 37, 40},
		{"age", "AGE-SECRET-KEY-1", "A~Z0~9", 58, 58}, {"1password", "ops_eyJ", b64 + "_-", 100, 2000}, {"terraform", ".atlasv1.", slug + "=", 60, 80},
		{"telegram", ":AA", slug, 32, 34}, {"sendgrid", "SG.", slug + ".", 60, 70}, {"mapbox", "sk.eyJ", slug + ".", 60, 200},
	}
}

// tokens are the probes of all issued tokens, as they are and in base64.
func tokens() []probe {
	var out []probe
	for _, t := range issued() {
		set := letters(t.of)
		try := func(b []byte, at int, final bool) (Finding, verdict) { return t.try(set, b, at, final) }
		if len(t.prefix) >= window {
			out = append(out, probe{t.prefix, try})
			out = append(out, in64(probe{t.prefix, try})...)
			if strings.ContainsAny(t.prefix+t.of, "/:+=") {
				out = append(out, inPercent(probe{t.prefix, try}))
			}
			continue
		}
		out = append(out, short(probe{t.prefix, try}, set)...)
		if strings.ContainsAny(t.prefix, "/:") {
			out = append(out, inPercent(probe{t.prefix, try}))
		}
	}
	return out
}

// short are the probes of p, whose text is too short for the index by one: with
// each byte of set that can follow.
func short(p probe, set *alphabet) []probe {
	out := in64(p)
	for c := range 256 {
		if f := byte(c) | 0x20; byte(c) == f && (set[f] || set[f-0x20]) { // as the index folds them
			out = append(out, probe{p.text + string(rune(c)), p.try})
		}
	}
	return out
}

func (t token) try(set *alphabet, b []byte, at int, final bool) (f Finding, v verdict) {
	if v := matches(b, at, t.prefix, final, false); v != yes {
		return f, v
	}
	if wordly(t.prefix[0]) && !opens(b, at) {
		return f, no
	}
	from := at + len(t.prefix)
	to := set.run(b[:min(len(b), from+t.most+1)], from)
	n := to - from
	switch {
	case n > t.most:
		return f, no
	case to == len(b) && !final:
		return f, more
	}
	for n > t.least && (b[to-1] == '.' || b[to-1] == '-') { // the end of a sentence
		to, n = to-1, n-1
	}
	if n < t.least || n > 8 && common(string(b[from:to])) {
		return f, no
	}
	return Finding{From: at, To: to, Class: t.class, Value: string(b[at:to])}, yes
}

// others are the probes of what has a form rather than a prefix.
func others() []probe {
	var out []probe
	for _, p := range []probe{{"-----BEGIN ", pem}, {"-----BEGIN%20", pem}, {"-----BEGIN+", pem}} {
		out = append(append(out, p), in64(p)...)
	}
	slugs := letters(slug)
	out = append(out, short(probe{"eyJ", func(b []byte, at int, final bool) (Finding, verdict) { return jwt(slugs, b, at, final) }}, slugs)...)
	inside := letters("!$%&*+-.0~9:;=A~Z[]^_a~z~") // of what may be before the @
	return append(out, short(probe{"://", func(b []byte, at int, final bool) (Finding, verdict) { return userinfo(inside, b, at, final) }}, inside)...)
}

// jwt finds a JSON Web Token (RFC 7519) or one that is encrypted (RFC 7516).
func jwt(set *alphabet, b []byte, at int, final bool) (f Finding, v verdict) {
	if v := matches(b, at, "eyJ", final, false); v != yes {
		return f, v
	}
	if !opens(b, at) {
		return f, no
	}
	end := set.run(b, at)
	if end == len(b) && !final {
		return f, more
	}
	head, err := base64.RawURLEncoding.DecodeString(string(b[at:end]))
	if err != nil || !bytes.Contains(head, []byte(`"alg"`)) {
		return f, no
	}
	parts := 1
	for end < len(b) && b[end] == '.' && parts < 5 {
		end = set.run(b, end+1)
		parts++
	}
	switch {
	case end == len(b) && !final:
		return f, more
	case parts < 3:
		return f, no
	}
	return Finding{From: at, To: end, Class: "jwt", Value: string(b[at:end])}, yes
}

// pem finds what is between the lines of a private key (RFC 7468), also where
// line ends are escaped or percent-encoded.
func pem(b []byte, at int, final bool) (f Finding, v verdict) {
	rest := b[at:min(len(b), at+Most)]
	whole := final || len(b)-at > Most
	open := func(no verdict) (Finding, verdict) {
		if whole {
			return f, 0
		}
		return f, no
	}
	const mark = "-----"
	if v := matches(b, at, mark+"BEGIN", final, false); v != yes {
		return f, v
	}
	label := bytes.Index(rest[len(mark):], []byte(mark))
	if label < 0 && len(rest) < 80 {
		return open(more)
	}
	if label < 0 || label > 80 || !bytes.Contains(rest[:len(mark)+label], []byte("PRIVATE")) {
		return f, no
	}
	from := 2*len(mark) + label
	n := bytes.Index(rest[from:], []byte(mark))
	if n < 0 {
		return open(more)
	}
	to := from + n
	for _, end := range []string{"\r", "\n", `\r`, `\n`, "%0D", "%0A", "%0d", "%0a", "\r", "\n"} {
		if bytes.HasPrefix(rest[from:to], []byte(end)) {
			from += len(end)
		}
		if bytes.HasSuffix(rest[from:to], []byte(end)) {
			to -= len(end)
		}
	}
	if to-from < Least {
		return f, no
	}
	return Finding{From: at + from, To: at + to, Class: "pem", Value: string(rest[from:to])}, yes
}

// userinfo finds the password in the userinfo of a URL (RFC 3986, 3.2.1).
func userinfo(inside *alphabet, b []byte, at int, final bool) (f Finding, v verdict) {
	if v := matches(b, at, "://", final, false); v != yes {
		return f, v
	}
	end := inside.run(b[:min(len(b), at+512)], at+3)
	colon := at + 3 + bytes.IndexByte(b[at+3:end], ':')
	switch {
	case end == len(b) && !final:
		return f, more
	case end == len(b) || b[end] != '@' || colon < at+3 || end-colon < 4:
		return f, no
	}
	return Finding{From: colon + 1, To: end, Class: "url", Value: string(b[colon+1 : end])}, yes
}

// Prefix is the part of value that tells everybody whose kind of token it is, ""
// if it is none.
func Prefix(value string) string {
	for _, t := range issued() {
		if strings.HasPrefix(value, t.prefix) && wordly(t.prefix[0]) {
			return t.prefix
		}
	}
	return ""
}
