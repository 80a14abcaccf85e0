package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A setting is a key of the configuration file and the flag that it is.
type setting struct {
	key, flag string
	kind      reflect.Type // of what stands in the file
}

// allSettings are those that there are, in the order of the file. Keys of the
// table [serge-net] go without its name.
func allSettings() []setting {
	var all []setting
	t := reflect.TypeFor[configTable]()
	for i := range t.NumField() {
		if flag := t.Field(i).Tag.Get("flag"); flag != "" {
			all = append(all, setting{t.Field(i).Tag.Get("toml"), flag, t.Field(i).Type})
		}
	}
	list := reflect.TypeFor[[]string]()
	return append(all,
		setting{"ignore.headers", "ignore-header", list}, setting{"ignore.query_params", "ignore-query", list}, setting{"ignore.body", "ignore-body", list},
		setting{"match.url", "url-regex", nil}, setting{"match.path_template", "path-template", list}, setting{"match.host_alias", "host-alias", list},
		setting{"match.body", "match-body", nil}, setting{"bypass", "bypass", nil})
}

// settingOf is the one called key, which may name its table.
func settingOf(key string) (setting, error) {
	var known []string
	for _, s := range allSettings() {
		if s.key == strings.TrimPrefix(strings.TrimPrefix(key, "serge-net."), "matgto.") {
			return s, nil
		}
		known = append(known, s.key)
	}
	if strings.HasSuffix(key, "strict") {
		return setting{}, hint(errors.New("strict is on_miss in other words"), "true is on_miss fail, false is on_miss passthrough")
	}
	err := fmt.Errorf("unknown key %q", key)
	if near := nearest(key, known); near != "" {
		return setting{}, hint(err, "did you mean %s?", near)
	}
	return setting{}, hint(err, "the keys are %s", strings.Join(known, ", "))
}

// A setTo is a setting in force.
type setTo struct {
	Key   string `json:"key"`
	Value any    `json:"value"` // a string, or a list of them
	From  string `json:"from"`  // "default", a variable of the environment, or FILE:LINE
}

// text is the value as a person types it.
func (s setTo) text() string {
	if list, ok := s.Value.([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(s.Value)
}

// A configuration is what is in force in a directory, but for what a command
// line says.
type configuration struct {
	path     string // of the file, "" if there is none
	text     []byte // of the file
	settings []setTo
}

// configurationOf reads the configuration that holds in dir.
func configurationOf(env func(string) (string, bool), dir string) (*configuration, error) {
	c := &configuration{}
	var err error
	if c.path, c.text, err = findConfig(dir); err != nil {
		return nil, err
	}
	commands := []*cobra.Command{runCommand(), proxyCommand()} // every setting is a flag of one
	byEnv := map[string]bool{}
	for _, command := range commands {
		flags := command.Flags()
		if err := fromEnvironment(flags, env); err != nil {
			return nil, err
		}
		flags.Visit(func(f *pflag.Flag) { byEnv[f.Name] = true })
		if c.path == "" {
			continue
		}
		file, err := readConfig(c.path, c.text)
		if err != nil {
			return nil, err
		}
		if err := file.apply(flags, c.path); err != nil {
			return nil, err
		}
	}
	lines, err := keyLines(c.text)
	if err != nil {
		return nil, err
	}
	for _, s := range allSettings() {
		f := cmp.Or(commands[0].Flags().Lookup(s.flag), commands[1].Flags().Lookup(s.flag))
		one := setTo{Key: s.key, Value: flagValue(f), From: "default"}
		switch {
		case byEnv[s.flag]:
			one.From = variableOf(env, s.flag)
		case f.Changed:
			one.From = fmt.Sprintf("%s:%d", c.path, s.line(lines))
		}
		c.settings = append(c.settings, one)
	}
	return c, nil
}

// flagValue is f's value, a list as one.
func flagValue(f *pflag.Flag) any {
	value := f.Value
	if list, ok := value.(pflag.SliceValue); ok {
		return slices.Clone(list.GetSlice())
	}
	return value.String()
}

// variableOf is the variable that the flag is set by in env.
func variableOf(env func(string) (string, bool), flag string) string {
	upper := strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
	if v, ok := env("SERGE_" + upper); ok && v != "" {
		return "SERGE_" + upper
	}
	return "MATGTO_" + upper
}

// line is where s is set in a file with keys at lines.
func (s setting) line(lines map[string]int) int {
	keys := []string{"serge-net." + s.key, "matgto." + s.key, s.key}
	if s.key == "on_miss" {
		keys = append(keys, "serge-net.strict", "matgto.strict")
	}
	for _, k := range keys {
		if n := lines[k]; n > 0 {
			return n
		}
	}
	return 0
}

// configurationHere is configurationOf this process's environment and directory.
func configurationHere() (*configuration, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	return configurationOf(os.LookupEnv, dir)
}

// get is the setting called key in force.
func (c *configuration) get(key string) (setTo, error) {
	s, err := settingOf(key)
	if err != nil {
		return setTo{}, err
	}
	i := slices.IndexFunc(c.settings, func(t setTo) bool { return t.Key == s.key })
	return c.settings[i], nil
}

// set is the file's text with s set to typed: TOML that says so, and all else as
// it was.
func (c *configuration) set(s setting, typed string) ([]byte, error) {
	if s.kind == nil {
		return nil, hint(fmt.Errorf("%s is a list of tables", s.key), "add [[%s]] to the file by hand", s.key)
	}
	if err := s.check(typed); err != nil {
		return nil, err
	}
	value := tomlString(typed)
	switch s.kind {
	case reflect.TypeFor[*bool](), reflect.TypeFor[*int64]():
		value = typed
	case reflect.TypeFor[[]string]():
		var all []string
		for one := range strings.SplitSeq(typed, ",") {
			if one = strings.TrimSpace(one); one != "" {
				all = append(all, tomlString(one))
			}
		}
		value = "[" + strings.Join(all, ", ") + "]"
	}
	table, name, nested := strings.Cut(s.key, ".")
	if !nested {
		table, name = c.main(), s.key
	}
	text, err := setKey(c.text, table, name, value)
	if err != nil {
		return nil, err
	}
	file, err := readConfig(c.path, text)
	if err != nil {
		return nil, err
	}
	return text, file.apply(runCommand().Flags(), c.path)
}

// check says what is wrong with typed as a value of s.
func (s setting) check(typed string) error {
	for _, command := range []*cobra.Command{runCommand(), proxyCommand()} {
		f := command.Flags().Lookup(s.flag)
		if f == nil {
			continue
		}
		if _, list := f.Value.(pflag.SliceValue); list {
			return nil
		}
		return valueError(command.Flags().Set(s.flag, typed), s.key)
	}
	return nil
}

// main is the table that the keys without one are in.
func (c *configuration) main() string {
	_, ends, err := tomlKeys(c.text)
	if _, older := ends["matgto."]; err == nil && older {
		if _, ours := ends["serge-net."]; !ours {
			return "matgto"
		}
	}
	return "serge-net"
}
