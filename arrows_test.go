package headlight_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "headlight.example"

// floors is the plan of the house: a package may import what stands beside it
// here, and nothing else of ours. An arrow only ever points to a lower floor.
// Changing the plan is fine, in the commit that needs it, saying why.
var floors = []struct {
	pkg  string
	uses []string
}{
	{"link", nil},
	{"netmap", nil},
	{"rdap", nil},
	{"internal/scoring", nil},
	{"message", []string{"link"}},
	{"evidence", []string{"link"}},
	{"evidence/logtest", []string{"evidence"}},
	{"jetstream", []string{"evidence"}},
	{"reputation", []string{"link", "evidence"}},
	{"feed", []string{"link", "netmap", "evidence"}},
	{"probe", []string{"link", "evidence"}},
	{"", []string{"link", "netmap", "rdap", "message", "evidence", "reputation", "probe"}}, // the root, package headlight
	{"blocklist", []string{"link", "evidence", "reputation"}},
	{"frontend/conns", nil},
	{"frontend/httpapi", []string{"frontend/conns", "link", "message", "evidence", "reputation", "probe", ""}},
	{"frontend/lists", []string{"blocklist"}},
	{"frontend/dns", []string{"evidence", "blocklist", "frontend/conns"}},
	{"frontend/milter", []string{"link", "message", "reputation", ""}},
	{"frontend/safebrowsing/v4", nil},
	{"frontend/safebrowsing/v5", nil},
	{"frontend/safebrowsing", []string{"link", "evidence", "reputation", "blocklist", "frontend/safebrowsing/v4", "frontend/safebrowsing/v5"}},
	{"frontend/sms", []string{"message", "reputation", "", "frontend/conns"}},
	{"cmd/headlight", []string{"link", "netmap", "rdap", "message", "evidence", "reputation", "feed", "probe", "blocklist", "internal/scoring", "", "frontend/httpapi", "frontend/lists", "frontend/dns", "frontend/milter", "frontend/safebrowsing", "frontend/sms", "jetstream"}},
}

func TestArrowsPointDown(t *testing.T) {
	floor := make(map[string]int)
	uses := make(map[string][]string)
	for i, p := range floors {
		floor[p.pkg], uses[p.pkg] = i, p.uses
		for _, u := range p.uses {
			if at, ok := floor[u]; !ok || at >= i {
				t.Errorf("the plan lets %q import %q, which is not below it", p.pkg, u)
			}
		}
	}
	seen := make(map[string]bool)
	for file, imports := range ownImports(t) {
		pkg := filepath.ToSlash(filepath.Dir(file))
		if pkg == "." {
			pkg = ""
		}
		seen[pkg] = true
		if _, ok := floor[pkg]; !ok {
			t.Errorf("%s: package %q is not in the plan", file, pkg)
			continue
		}
		for _, imp := range imports {
			if imp != pkg && !slices.Contains(uses[pkg], imp) {
				t.Errorf("%s imports %q, which the plan does not allow", file, imp)
			}
		}
	}
	for _, p := range floors {
		if !seen[p.pkg] {
			t.Errorf("the plan names %q, which does not exist", p.pkg)
		}
	}
}

// ownImports gives, for each Go file that goes into the product, which of our
// own packages it imports. Tests may look anywhere.
func ownImports(t *testing.T) map[string][]string {
	t.Helper()
	files := make(map[string][]string)
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && name != "." || d.Name() == "testdata" || name == "bench" || name == "tools") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		if generatorOnly(f.Comments) {
			return nil
		}
		files[name] = nil
		for _, spec := range f.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if path == module {
				files[name] = append(files[name], "")
			} else if own, ok := strings.CutPrefix(path, module+"/"); ok {
				files[name] = append(files[name], own)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("found no Go files")
	}
	return files
}

// generatorOnly says whether a file is a program for go generate.
func generatorOnly(comments []*ast.CommentGroup) bool {
	for _, g := range comments {
		for _, c := range g.List {
			if strings.HasPrefix(c.Text, "//go:build ignore") {
				return true
			}
		}
	}
	return false
}
