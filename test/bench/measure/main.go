// Measure runs a program to its end and writes to file descriptor 3 what it
// took: "WALL CPU MEMORY", in nanoseconds and bytes.
//
// It is a program of its own because it has to be small: Linux counts the peak
// memory of whoever starts a program as the program's own.
package main

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

func main() {
	begin := time.Now()
	child, err := os.StartProcess(os.Args[1], os.Args[1:], &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
	state, err := child.Wait()
	if err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
	wall := time.Since(begin)
	usage, _ := state.SysUsage().(*syscall.Rusage)
	result := os.NewFile(3, "result")
	_, _ = fmt.Fprintln(result, wall.Nanoseconds(), (state.UserTime() + state.SystemTime()).Nanoseconds(), usage.Maxrss*1024)
	os.Exit(state.ExitCode())
}
