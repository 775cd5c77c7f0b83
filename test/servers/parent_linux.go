package servers

import "syscall"

// killWithParent makes the kernel kill a process whose parent dies.
func killWithParent(attributes *syscall.SysProcAttr) {
	attributes.Pdeathsig = syscall.SIGKILL
}
