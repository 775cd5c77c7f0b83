// Pause does nothing until it is told to end. It holds a Pod's namespaces open,
// and stands in for containers that a test has no use for.
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
