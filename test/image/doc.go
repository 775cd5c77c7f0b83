// Package image tests the image that build.sh makes of the Dockerfile.
package image
