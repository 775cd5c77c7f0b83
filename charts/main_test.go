package charts

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// program is the real one: NAUTOBOT_TOKEN_BINARY, if it is made already.
var program = os.Getenv("NAUTOBOT_TOKEN_BINARY")

func TestMain(m *testing.M) {
	flag.Parse()
	folder, err := os.MkdirTemp("", "nautobot-token-charts")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	if program == "" {
		program = filepath.Join(folder, "nautobot-token")
		build := exec.CommandContext(context.Background(), "go", "build", "-o", program, ".")
		build.Dir = ".."
		if output, err := build.CombinedOutput(); err != nil {
			panic(string(output))
		}
	}
	m.Run() // its code is the program's
}
