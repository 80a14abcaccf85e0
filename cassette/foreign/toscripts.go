package foreign

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
)

// quoted is s as one word of a POSIX shell.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// writeCurl writes a shell script that asks again what was asked. Secrets come
// from the environment.
func writeCurl(w io.Writer, x *export) error {
	fmt.Fprintf(w, "#!/bin/sh\n# The requests of the cassette %s, by serge-net export.\nset -eu\n", exchange.Visible(x.c.Name))
	for _, v := range x.variables() {
		fmt.Fprintf(w, ": \"${%s:?names a secret that is not in the cassette}\"\n", v)
	}
	return x.each(func(_ int, i *cassette.Interaction) error {
		body, err := x.bytes(i, i.Request.Body)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "\n# %s\n", exchange.Visible(i.Line()))
		if len(i.Passed()) > 0 {
			x.note(i, "upgraded streams are not carried")
			return nil
		}
		words := []string{"curl --silent --show-error --globoff --path-as-is --include"}
		switch i.Request.Method {
		case "GET":
		case "HEAD":
			words[0] = strings.TrimSuffix(words[0], "--include") + "--head"
		default:
			words = append(words, "--request "+quoted(i.Request.Method))
		}
		typed := false
		for _, f := range asked(i) {
			if strings.EqualFold(f.Name, "accept-encoding") && coding(responseFields(i)) != "" {
				words = append(words, "--compressed")
			}
			typed = typed || strings.EqualFold(f.Name, "content-type")
			words = append(words, "--header "+strings.Join(spliced(f.Name+": "+f.Value, quoted, func(v string) string { return `"$` + v + `"` }), ""))
		}
		if len(body) > 0 && !typed {
			words = append(words, "--header 'Content-Type:'") // none was sent
		}
		text := textual(body) && !strings.Contains(string(body), "\x00")
		switch {
		case len(body) == 0:
		case text && len(body) < 64<<10 && body[0] != '@':
			words = append(words, "--data-binary "+quoted(string(body)))
		default:
			words = append(words, "--data-binary @-")
		}
		if n := len(words) - 1; words[n] == "--data-binary @-" {
			words[0] = "printf %s " + base64.StdEncoding.EncodeToString(body) + " | base64 -d | " + words[0]
		}
		words = append(words, quoted(i.Request.URL))
		if i.Response == nil || i.Response.End != exchange.Complete {
			words = append(words, "|| :") // it failed then, too
		}
		_, err = fmt.Fprintln(w, strings.Join(words, " \\\n  "))
		return err
	})
}

// responseFields are those of i's answer, if there is one.
func responseFields(i *cassette.Interaction) []exchange.Field {
	if i.Response == nil {
		return nil
	}
	return i.Response.Fields
}

// literal is s as JavaScript has it.
func literal(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(strings.ToValidUTF8(s, "\uFFFD")) != nil {
		return `""`
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// writeK6 writes a load test: https://grafana.com/docs/k6. Secrets come from the
// environment.
func writeK6(w io.Writer, x *export) error {
	fmt.Fprintf(w, "// The requests of the cassette %s, by serge-net export.\n", exchange.Visible(x.c.Name))
	for _, v := range x.variables() {
		fmt.Fprintf(w, "// --env %s=… is a secret that is not in the cassette.\n", v)
	}
	fmt.Fprint(w, "import http from 'k6/http';\nimport encoding from 'k6/encoding';\nimport { check } from 'k6';\n\nexport default function () {\n  let r;\n")
	err := x.each(func(_ int, i *cassette.Interaction) error {
		if i.Response == nil || len(i.Passed()) > 0 {
			x.note(i, "failures and upgraded streams are not carried")
			return nil
		}
		b, err := x.bytes(i, i.Request.Body)
		if err != nil {
			return err
		}
		body := "null"
		switch {
		case len(b) == 0:
		case textual(b):
			body = literal(string(b))
		default:
			body = "encoding.b64decode(" + literal(base64.StdEncoding.EncodeToString(b)) + ")"
		}
		var headers []string
		seen := map[string]bool{}
		for _, f := range asked(i) {
			if name := strings.ToLower(f.Name); seen[name] {
				x.note(i, "of a repeated request header only the first is carried")
				continue
			} else {
				seen[name] = true
			}
			value := strings.Join(spliced(f.Value, literal, func(v string) string { return "__ENV." + v }), " + ")
			if value == "" {
				value = `""`
			}
			headers = append(headers, literal(f.Name)+": "+value)
		}
		fmt.Fprintf(w, "\n  r = http.request(%s, %s, %s, { redirects: 0, headers: { %s } });\n", literal(i.Request.Method), literal(i.Request.URL), body, strings.Join(headers, ", "))
		_, err = fmt.Fprintf(w, "  check(r, { %s: (r) => r.status === %d });\n", literal(i.Line()), i.Response.Status)
		return err
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, "}")
	return err
}

// shownMost is how much of a body stands in a Markdown document, in bytes.
const shownMost = 16 << 10

// writeMarkdown writes a document to read.
func writeMarkdown(w io.Writer, x *export) error {
	fmt.Fprintf(w, "# %s\n\nRecorded %s, %d interactions.\n", exchange.Visible(x.c.Name), x.c.RecordedAt.Format("2006-01-02 15:04:05Z"), len(x.c.Interactions))
	return x.each(func(n int, i *cassette.Interaction) error {
		fmt.Fprintf(w, "\n## %d. `%s`\n", n+1, strings.ReplaceAll(exchange.Visible(i.Line()), "`", "'"))
		if err := x.markdownHalf(w, i, "Request", i.Request.Fields, i.Request.Body); err != nil {
			return err
		}
		if i.Response == nil {
			_, err := fmt.Fprintf(w, "\nNo response: %s: %s\n", i.Failure.Kind, exchange.Visible(i.Failure.Cause))
			return err
		}
		if len(i.Passed()) > 0 {
			x.note(i, "upgraded streams are not carried")
		}
		return x.markdownHalf(w, i, "Response", i.Response.Fields, i.Response.Body)
	})
}

// markdownHalf writes one side of i.
func (x *export) markdownHalf(w io.Writer, i *cassette.Interaction, title string, fields []exchange.Field, b cassette.Body) error {
	var head strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&head, "%s: %s\n", exchange.Visible(f.Name), exchange.Visible(shown(f.Value)))
	}
	fmt.Fprintf(w, "\n%s\n\n%s", title, fenced("http", head.String()))
	if b.Size == 0 {
		return nil
	}
	whole, err := x.bytes(i, b)
	if err != nil {
		return err
	}
	text, isText := readable(whole, fields)
	switch {
	case !isText:
		_, err = fmt.Fprintf(w, "\n(%d bytes that are no text)\n", b.Size)
	case len(text) > shownMost:
		x.note(i, fmt.Sprintf("of a body over %d KiB only the start is carried", shownMost>>10))
		_, err = fmt.Fprintf(w, "\n%s\n(the first %d of %d bytes)\n", fenced("", strings.ToValidUTF8(string(text[:shownMost]), "")), shownMost, len(text))
	default:
		language := ""
		if json.Valid(text) {
			language = "json"
		}
		_, err = fmt.Fprintf(w, "\n%s", fenced(language, string(text)))
	}
	return err
}

// fenced is text in a fence that is in none of it.
func fenced(language, text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + language + "\n" + strings.TrimRight(text, "\n") + "\n" + fence + "\n"
}
