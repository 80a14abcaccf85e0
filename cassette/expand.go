package cassette

// Expand is text of a cassette as it passed: each placeholder of a secret in it
// replaced by what value gives for it, and escaped braces as they were.
func Expand(text string, value func(placeholder string) string) string { return expand(text, value) }
