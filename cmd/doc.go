// Package cmd is the command line. One run goes like this:
//
//   - Main takes the process's arguments, streams and signals, and calls run.
//   - run finds the command; flags and environment become settings, checked.
//   - The command finds its Secret and hands it to package provision.
//   - The result is printed, one line per object.
//   - finish reports an error and maps it to the exit code.
package cmd
