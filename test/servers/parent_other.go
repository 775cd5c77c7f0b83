//go:build !linux

package servers

import "syscall"

// killWithParent does nothing: only Linux can kill a process whose parent dies.
func killWithParent(*syscall.SysProcAttr) {}
