package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// configNames are the names of the configuration file, looked for in each
// directory from the working one upward. The second is the older name.
var configNames = []string{"serge-net.toml", "matgto.toml"}

// A configFile is serge-net.toml. Each key is a flag of run or proxy.
type configFile struct {
	Main   configTable `toml:"serge-net"`
	Older  configTable `toml:"matgto"`
	Ignore struct {
		Headers []string `toml:"headers"`
		Query   []string `toml:"query_params"`
		Body    []string `toml:"body"`
	} `toml:"ignore"`
	Match  matchTable `toml:"match"`
	Redact struct {
		Headers  []string `toml:"headers"`
		JSON     []string `toml:"json"`
		Patterns []string `toml:"patterns"`
	} `toml:"redact"`
	Bypass []struct {
		Host string `toml:"host"`
	} `toml:"bypass"`
}

// A configTable is the [serge-net] table; nil is a key that is not there.
type configTable struct {
	CassetteDir *string  `toml:"cassette_dir" flag:"cassette-dir"`
	Cassette    *string  `toml:"cassette" flag:"cassette"`
	KeyFile     *string  `toml:"key_file" flag:"key-file"`
	Encrypt     *bool    `toml:"encrypt" flag:"encrypt"`
	Mode        *string  `toml:"mode" flag:"mode"`
	Strict      *bool    `toml:"strict"`
	Format      *string  `toml:"format" flag:"format"`
	Backend     *string  `toml:"backend" flag:"backend"`
	OnMiss      *string  `toml:"on_miss" flag:"on-miss"`
	Repeat      *string  `toml:"repeat" flag:"repeat"`
	Match       *string  `toml:"match" flag:"match"`
	MaxAge      *string  `toml:"max_age" flag:"max-age"`
	Expired     *string  `toml:"expired" flag:"expired"`
	Order       *string  `toml:"order" flag:"order"`
	Unused      *string  `toml:"unused" flag:"unused"`
	Latency     *string  `toml:"latency" flag:"latency"`
	ShiftDates  *string  `toml:"shift_dates" flag:"shift-dates"`
	Bodies      *string  `toml:"bodies" flag:"bodies"`
	ConnInfo    *string  `toml:"conn_info" flag:"conn-info"`
	RecordTCP   *string  `toml:"record_tcp" flag:"record-tcp"`
	ExactTiming *bool    `toml:"exact_timing" flag:"exact-timing"`
	DNS         *string  `toml:"dns" flag:"dns"`
	Hermetic    *bool    `toml:"hermetic" flag:"hermetic"`
	HostPort    []string `toml:"host_port" flag:"host-port"`
	Publish     []string `toml:"publish" flag:"publish"`
	UDP         []string `toml:"udp" flag:"udp"`
	UpstreamCA  []string `toml:"upstream_ca" flag:"upstream-ca"`
	Proto       []string `toml:"proto" flag:"proto"`
	ProxyPort   *int64   `toml:"proxy_port" flag:"listen"`
}

// A matchTable is the [match] table.
type matchTable struct {
	URL []struct {
		Regex string `toml:"regex"`
		As    string `toml:"as"`
	} `toml:"url"`
	PathTemplate []string `toml:"path_template"`
	HostAlias    []string `toml:"host_alias"`
	Body         []struct {
		Route string `toml:"route"`
		Is    string `toml:"is"`
	} `toml:"body"`
	Callback []string `toml:"callback"`
}

// configure gives every flag of c that was not on the command line its value:
// from the environment, else from the nearest configuration file, else its
// default.
func configure(c *cobra.Command, env func(string) (string, bool), dir string) error {
	if v, _ := env(keyVariable); v != "" {
		if f := c.Flags().Lookup("key-file"); f != nil {
			f.Changed = true // on the command line or not: no other file goes before the variable
		}
	}
	if err := fromEnvironment(c.Flags(), env); err != nil {
		return err
	}
	path, b, err := findConfig(dir)
	if err != nil || path == "" {
		return err
	}
	file, err := readConfig(path, b)
	if err != nil {
		return err
	}
	return file.apply(c.Flags(), path)
}

// configureHere is configure with this process's environment and directory.
func configureHere(c *cobra.Command) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	return configure(c, os.LookupEnv, dir)
}

// configureOnly is configureHere for some of c's flags.
func configureOnly(c *cobra.Command, names ...string) error {
	some := &cobra.Command{}
	for _, name := range names {
		some.Flags().AddFlag(c.Flags().Lookup(name))
	}
	return configureHere(some)
}

// fromEnvironment sets each flag --some-name from SERGE_SOME_NAME, else from the
// older MATGTO_SOME_NAME. An empty one is none.
func fromEnvironment(flags *pflag.FlagSet, env func(string) (string, bool)) error {
	var first error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" || isOwn(f) || first != nil {
			return
		}
		upper := strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		for _, prefix := range []string{"SERGE_", "MATGTO_"} {
			v, ok := env(prefix + upper)
			if !ok || v == "" {
				continue
			}
			if err := flags.Set(f.Name, v); err != nil {
				first = valueError(err, prefix+upper)
			}
			return
		}
	})
	return first
}

// findConfig reads the nearest configuration file upward from dir; path is "" if
// there is none.
func findConfig(dir string) (path string, b []byte, err error) {
	for {
		for _, name := range configNames {
			path := filepath.Join(dir, name)
			b, err := os.ReadFile(path)
			if err == nil {
				return path, b, nil
			}
			if !errors.Is(err, os.ErrNotExist) {
				return "", nil, fmt.Errorf("configuration: %w", err)
			}
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", nil, nil
		}
		dir = up
	}
}

// readConfig parses a configuration file. A key that does not exist is an error
// that names the key, its line, and the nearest that does.
func readConfig(path string, b []byte) (*configFile, error) {
	var file configFile
	d := toml.NewDecoder(strings.NewReader(string(b)))
	err := d.DisallowUnknownFields().Decode(&file)
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) {
		e := unknown.Errors[0]
		row, _ := e.Position()
		key := e.Key()
		wrong := fmt.Errorf("%s:%d: unknown key %q", path, row, strings.Join(key, "."))
		if near := nearest(key[len(key)-1], configKeys()); near != "" {
			return nil, hint(wrong, "did you mean %q?", near)
		}
		return nil, hint(wrong, "the keys are %s", strings.Join(configKeys(), ", "))
	}
	var syntax *toml.DecodeError
	if errors.As(err, &syntax) {
		row, col := syntax.Position()
		return nil, hint(fmt.Errorf("%s:%d:%d: %s", path, row, col, strings.TrimPrefix(syntax.Error(), "toml: ")), "see https://toml.io for the syntax")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &file, nil
}

// configKeys lists the keys and tables of a configuration file.
func configKeys() []string {
	keys := []string{"serge-net", "ignore", "headers", "query_params", "body", "redact", "json", "patterns", "bypass", "host", "url", "regex", "as", "path_template", "host_alias", "route", "is", "callback"}
	t := reflect.TypeFor[configTable]()
	for i := range t.NumField() {
		keys = append(keys, t.Field(i).Tag.Get("toml"))
	}
	return keys
}

// apply sets the flags that are neither on the command line nor in the
// environment.
func (f *configFile) apply(flags *pflag.FlagSet, path string) error {
	for _, table := range []configTable{f.Main, f.Older} {
		table.resolve(filepath.Dir(path))
		if err := table.apply(flags, path); err != nil {
			return err
		}
	}
	var bypass []string
	for _, b := range f.Bypass {
		bypass = append(bypass, b.Host)
	}
	var urls, bodies []string
	for _, u := range f.Match.URL {
		urls = append(urls, u.Regex+urlArrow+u.As)
	}
	for _, b := range f.Match.Body {
		bodies = append(bodies, strings.TrimSpace(b.Is+" "+b.Route))
	}
	return errors.Join(
		setAll(flags, "ignore-header", f.Ignore.Headers, path),
		setAll(flags, "ignore-query", f.Ignore.Query, path),
		setAll(flags, "ignore-body", f.Ignore.Body, path),
		setAll(flags, "url-regex", urls, path),
		setAll(flags, "path-template", f.Match.PathTemplate, path),
		setAll(flags, "host-alias", f.Match.HostAlias, path),
		setAll(flags, "match-body", bodies, path),
		setAll(flags, "match-callback", besides(filepath.Dir(path), f.Match.Callback), path),
		setAll(flags, "redact-header", f.Redact.Headers, path),
		setAll(flags, "redact-json", f.Redact.JSON, path),
		setAll(flags, "redact-pattern", f.Redact.Patterns, path),
		setAll(flags, "bypass", bypass, path),
	)
}

// besides is argv whose program, where it is a path and not absolute, is meant
// from dir.
func besides(dir string, argv []string) []string {
	if len(argv) > 0 && strings.Contains(argv[0], "/") && !filepath.IsAbs(argv[0]) {
		argv = append([]string{filepath.Join(dir, argv[0])}, argv[1:]...)
	}
	return argv
}

// setAll sets the flag name to values from the file at path, unless it has a
// value or there is no such flag.
func setAll(flags *pflag.FlagSet, name string, values []string, path string) error {
	f := flags.Lookup(name)
	if f == nil || f.Changed || isOwn(f) {
		return nil
	}
	for _, v := range values {
		if err := flags.Set(name, v); err != nil {
			return valueError(err, path+": "+strings.ReplaceAll(name, "-", "_"))
		}
	}
	return nil
}

// resolve makes t's paths relative to the directory that the file is in, from
// where they are meant, rather than to the working directory.
func (t *configTable) resolve(dir string) {
	if t.CassetteDir != nil && !filepath.IsAbs(*t.CassetteDir) {
		joined := filepath.Join(dir, *t.CassetteDir)
		t.CassetteDir = &joined
	}
	if t.KeyFile != nil && !filepath.IsAbs(*t.KeyFile) {
		joined := filepath.Join(dir, *t.KeyFile)
		t.KeyFile = &joined
	}
	for _, files := range [][]string{t.UpstreamCA, t.Proto} {
		for i, f := range files {
			if !filepath.IsAbs(f) {
				files[i] = filepath.Join(dir, f)
			}
		}
	}
}

// apply sets the flags that t's keys name.
func (t configTable) apply(flags *pflag.FlagSet, path string) error {
	if t.Strict != nil && t.OnMiss == nil {
		onMiss := "passthrough"
		if *t.Strict {
			onMiss = "fail"
		}
		t.OnMiss = &onMiss
	}
	v := reflect.ValueOf(t)
	for i := range v.NumField() {
		field := v.Type().Field(i)
		f := flags.Lookup(field.Tag.Get("flag"))
		if f == nil || f.Changed || v.Field(i).IsNil() {
			continue
		}
		if err := setAll(flags, f.Name, texts(v.Field(i)), path); err != nil {
			return err
		}
	}
	return nil
}

// texts is a table's value as its flag reads it, once for each time that the
// flag is to be set.
func texts(v reflect.Value) []string {
	if v.Kind() == reflect.Slice {
		return v.Interface().([]string)
	}
	return []string{fmt.Sprint(v.Elem().Interface())}
}
