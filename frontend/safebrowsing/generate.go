//go:build ignore

// Generate makes Go of a .proto file beside it: generate v4.proto z_v4.go. It runs
// protoc (Debian: protobuf-compiler, libprotobuf-dev) with the plugin of the version of
// google.golang.org/protobuf that go.mod names.
package main

import (
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	proto, to := os.Args[1], os.Args[2]
	dir, err := os.MkdirTemp("", "protoc")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	plugin := filepath.Join(dir, "protoc-gen-go")
	run("go", "build", "-o", plugin, "google.golang.org/protobuf/cmd/protoc-gen-go")
	run("protoc", "--plugin="+plugin, "--go_out="+dir, "--go_opt=paths=source_relative", proto)
	text, err := os.ReadFile(filepath.Join(dir, strings.TrimSuffix(proto, ".proto")+".pb.go"))
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o644); err != nil {
		log.Fatal(err)
	}
}

func run(name string, args ...string) {
	c := exec.Command(name, args...)
	c.Stderr = os.Stderr
	if err := c.Run(); err != nil {
		log.Fatalf("%s: %v", name, err)
	}
}
