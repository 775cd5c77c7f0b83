// Package cmd is the command line. The way of one run:
//
//   - Main takes the process's arguments, streams and signals, and calls run.
//   - run finds the command; flags and environment become settings, checked.
//   - The command finds its Secret and hands it to package provision.
//   - What was done is printed as it is done, one line per object.
//   - finish tells of an error and maps it to the exit code.
package cmd
