package servers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// CacheDir is where built programs, Python environments and migrated databases
// are kept: $NAUTOBOT_TOKEN_CACHE, or nautobot-token in the user's cache
// directory. It may be removed whenever no test is running.
func CacheDir() (string, error) {
	if dir := os.Getenv("NAUTOBOT_TOKEN_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache directory: %w; set NAUTOBOT_TOKEN_CACHE", err)
	}
	return filepath.Join(dir, "nautobot-token"), nil
}

// lockedCache makes the directory name in the cache and locks it against other
// programs until unlock is called. The kernel ends the lock of a program that
// dies.
func lockedCache(ctx context.Context, name string) (dir string, unlock func(), err error) {
	cache, err := CacheDir()
	if err != nil {
		return "", nil, err
	}
	dir = filepath.Join(cache, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, fmt.Errorf("cache: %w; set NAUTOBOT_TOKEN_CACHE to a directory that can be written", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", nil, fmt.Errorf("cache: %w", err)
	}
	for waiting := false; ; waiting = true {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return dir, func() { file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			file.Close()
			return "", nil, fmt.Errorf("cache: lock %s: %w", file.Name(), err)
		}
		if !waiting {
			progress("waiting for another program that is preparing %s", name)
		}
		select {
		case <-ctx.Done():
			file.Close()
			return "", nil, fmt.Errorf("cache: lock %s: %w", file.Name(), ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// exists reports whether there is a file at path.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// progress tells whoever waits at the terminal what takes so long.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format(time.TimeOnly)+" servers: "+format+"\n", args...)
}
