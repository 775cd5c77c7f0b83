package servers

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
)

// A relay passes connections on from one network to another.
type relay struct {
	listener net.Listener
	mu       sync.Mutex
	open     map[net.Conn]bool
}

// startRelay passes on what listener accepts to what dial connects to.
func startRelay(listener net.Listener, dial func(context.Context) (net.Conn, error)) *relay {
	r := &relay{listener: listener, open: map[net.Conn]bool{}}
	go func() {
		for {
			from, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				go r.pass(from, dial)
			}
		}
	}()
	return r
}

func (r *relay) pass(from net.Conn, dial func(context.Context) (net.Conn, error)) {
	defer from.Close()
	to, err := dial(context.Background())
	if err != nil {
		return
	}
	defer to.Close()
	if !r.keep(from, to) {
		return
	}
	defer r.forget(from, to)
	var wg sync.WaitGroup
	for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
		wg.Go(func() {
			_, _ = io.Copy(way[1], way[0])
			// The other direction may go on, as in TCP itself.
			if half, ok := way[1].(interface{ CloseWrite() error }); ok {
				_ = half.CloseWrite()
			}
		})
	}
	wg.Wait()
}

func (r *relay) keep(connections ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil {
		return false
	}
	for _, connection := range connections {
		r.open[connection] = true
	}
	return true
}

func (r *relay) forget(connections ...net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, connection := range connections {
		delete(r.open, connection)
	}
}

// close ends all connections and takes no further ones.
func (r *relay) close() {
	_ = r.listener.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	for connection := range r.open {
		_ = connection.Close()
	}
	r.open = nil
}
