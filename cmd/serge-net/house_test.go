package main

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/serge-net/serge-net"

// arrows is the house: what each room may import of ours. A room that is not
// here does not exist; changing it is a decision that ARCHITECTURE.md explains.
var arrows = map[string][]string{
	"exchange":            nil,
	"bpf":                 nil,
	"certs":               nil,
	"dnsstub":             nil,
	"ws":                  nil,
	"redirect":            {"bpf", "exchange"},
	"redirect/testnet":    nil,
	"mitm/http1":          {"exchange"},
	"mitm/http2":          {"exchange"},
	"mitm/http3":          {"exchange", "mitm/http2"},
	"mitm":                {"exchange", "mitm/http1", "mitm/http2", "mitm/http3", "ws"},
	"cassette":            {"cassette/descriptor", "cassette/secret", "exchange", "ws"},
	"cassette/descriptor": nil,
	"cassette/secret":     nil,
	"cassette/foreign":    {"cassette", "exchange", "ws"},
	"bench":               {"redirect/testnet"},
	"vagrant/vm":          {"certs"},
	"cmd/serge-net":       {"redirect", "dnsstub", "certs", "mitm", "cassette", "cassette/descriptor", "cassette/foreign", "cassette/secret", "exchange"},
}

// A room is what go list says of a package.
type room struct {
	ImportPath, Dir, Doc string
	Imports, GoFiles     []string
}

func rooms(t *testing.T) []room {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,Doc,Imports,GoFiles", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []room
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var r room
		err := d.Decode(&r)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
}

func TestArrows(t *testing.T) {
	for _, r := range rooms(t) {
		name := strings.TrimPrefix(r.ImportPath, module+"/")
		allowed, known := arrows[name]
		if !known {
			t.Errorf("%s is not a room of the house", name)
			continue
		}
		for _, imp := range r.Imports {
			ours, found := strings.CutPrefix(imp, module+"/")
			if found && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s; it may import %v", name, ours, allowed)
			}
		}
	}
}

func TestEveryPackageHasADoc(t *testing.T) {
	for _, r := range rooms(t) {
		if r.Doc == "" {
			t.Errorf("%s has no package doc", r.ImportPath)
		}
	}
}

// TestEveryExportedNameHasADoc reads the sources that this system builds.
func TestEveryExportedNameHasADoc(t *testing.T) {
	for _, r := range rooms(t) {
		fset := token.NewFileSet()
		var files []*ast.File
		for _, name := range r.GoFiles {
			if strings.Contains(name, "_bpfe") { // written by bpf2go
				continue
			}
			f, err := parser.ParseFile(fset, r.Dir+"/"+name, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		p, err := doc.NewFromFiles(fset, files, r.ImportPath)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range undocumented(p) {
			t.Errorf("%s.%s has no doc comment", r.ImportPath, name)
		}
	}
}

// TestSizes holds that a file is a page to read and a function one to see: at most
// 400 and 60 lines. Tests may have longer tables.
func TestSizes(t *testing.T) {
	for p, text := range tracked(t, ".go") {
		if n := strings.Count(text, "\n"); n > 400 && !strings.Contains(p, "_bpfe") {
			t.Errorf("%s has %d lines", p, n)
		}
		if strings.HasSuffix(p, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, p, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if n := fset.Position(d.End()).Line - fset.Position(d.Pos()).Line + 1; n > 60 {
				if fn, ok := d.(*ast.FuncDecl); ok {
					t.Errorf("%s: %s has %d lines", p, fn.Name.Name, n)
				}
			}
		}
	}
}

// undocumented lists p's exported names without a comment of their own or, for
// constants and variables, of their group.
func undocumented(p *doc.Package) []string {
	var names []string
	funcs := func(prefix string, fs []*doc.Func) {
		for _, f := range fs {
			if f.Doc == "" && ast.IsExported(f.Name) {
				names = append(names, prefix+f.Name)
			}
		}
	}
	values := func(vs []*doc.Value) {
		for _, v := range vs {
			if v.Doc == "" && slices.ContainsFunc(v.Names, ast.IsExported) && !commented(v) {
				names = append(names, strings.Join(v.Names, ","))
			}
		}
	}
	funcs("", p.Funcs)
	values(p.Consts)
	values(p.Vars)
	for _, typ := range p.Types {
		if typ.Doc == "" && ast.IsExported(typ.Name) {
			names = append(names, typ.Name)
		}
		funcs("", typ.Funcs)
		if ast.IsExported(typ.Name) {
			funcs(typ.Name+".", typ.Methods)
		}
		values(typ.Consts)
		values(typ.Vars)
	}
	return names
}

// commented tells whether every spec of v has a comment of its own.
func commented(v *doc.Value) bool {
	for _, s := range v.Decl.Specs {
		vs := s.(*ast.ValueSpec)
		if vs.Doc == nil && vs.Comment == nil {
			return false
		}
	}
	return true
}
