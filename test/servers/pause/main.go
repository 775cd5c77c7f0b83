// Pause does nothing until it is told to end. It holds a Pod's namespaces open,
// and replaces containers that a test has no use for.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	<-end
}
