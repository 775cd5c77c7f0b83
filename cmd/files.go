package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

const maxFile = 1 << 20 // bytes, the limit of a ConfigMap or a Secret

// readFile reads a file that a setting names. Its errors do not show the name:
// it may be a secret that was put into the wrong place.
func readFile(ctx context.Context, name string) ([]byte, error) {
	content, err := await(ctx, func() ([]byte, error) {
		file, err := os.Open(name) //nolint:gosec // G304: the operator names the file
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }()
		return io.ReadAll(io.LimitReader(file, maxFile+1))
	})
	switch {
	case err != nil:
		return nil, withoutPath(err)
	case len(content) > maxFile:
		return nil, fmt.Errorf("the file is larger than %d bytes", maxFile)
	}
	return content, nil
}

// withoutPath is what went wrong with a file, without its name.
func withoutPath(err error) error {
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return failed.Err
	}
	return err
}

// await ends with ctx, even if read does not: nothing else ends a read from a
// pipe that nobody writes to.
func await[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := read()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}
