#!/usr/bin/env bash
# build.sh OUT.tar [NAME:TAG]
#
# Builds the real Dockerfile with buildah, where no Docker engine runs and no
# registry is at hand: the image with Go is made of the Go that is installed
# here. The same source gives the same bytes. Needs root, buildah and
# busybox-static. VERSION, COMMIT and NAUTOBOT_TOKEN_CACHE come from the
# environment, as in the Makefile, and ARCH, if it is another than this
# machine's.
#
# The image has this machine's CA certificates. One to publish is built with
# `docker buildx build`, from the official image of Go.
set -euo pipefail

out=${1:?build.sh OUT.tar [NAME:TAG]}
ref=${2:-ghcr.io/rackerlabs/understack/nautobot-token:${VERSION:-devel}}
source=$(cd "$(dirname "$0")/../.." && pwd)
cache=${NAUTOBOT_TOKEN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/nautobot-token}
state=$cache/buildah
arch=${ARCH:-$(go env GOHOSTARCH)}
export GOFLAGS='-trimpath -buildvcs=false' BUILDAH_ISOLATION=chroot

missing=()
command -v buildah >/dev/null || missing+=(buildah)
command -v busybox >/dev/null || missing+=(busybox-static)
if ((${#missing[@]})); then
	echo "build.sh: as root, run: apt-get install ${missing[*]}. Where a Docker engine runs, this does it too: docker build -t $ref $source" >&2
	exit 1
fi

# One build at a time.
mkdir -p "$state"
exec 9>"$state/lock"
flock 9

b() { buildah --root "$state/root" --runroot "$state/run" --storage-driver "${STORAGE_DRIVER:-overlay}" "$@"; }

# The stand-in for golang:VERSION: Go, a shell and the CA certificates.
go=localhost/go:$(go env GOVERSION)
if ! b inspect --type image "$go" >/dev/null 2>&1; then
	container=$(b from scratch)
	root=$(b mount "$container")
	mkdir -p "$root"/{bin,etc/ssl/certs,go,root,tmp,usr/local}
	chmod 1777 "$root/tmp"
	install "$(readlink -f "$(command -v busybox)")" "$root/bin/busybox"
	for applet in sh ls cat cp mkdir rm env id uname; do ln -s busybox "$root/bin/$applet"; done
	cp -a "$(go env GOROOT)" "$root/usr/local/go"
	cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
	echo root:x:0:0:root:/root:/bin/sh >"$root/etc/passwd" # without it HOME is /, and the build cache is missed
	b config --env PATH=/usr/local/go/bin:/bin --env GOPATH=/go --env GOTOOLCHAIN=local --workingdir /go "$container"
	b umount "$container" >/dev/null
	b commit -q --timestamp 0 "$container" "$go" >/dev/null
	b rm "$container" >/dev/null
fi

# Buildah looks for all images under the platform that is asked for, so for
# another one Go's image is there a second time and says it is for that one.
if [[ $arch != $(go env GOHOSTARCH) ]]; then
	base=$go go=$go-$arch
	if ! b inspect --type image "$go" >/dev/null 2>&1; then
		container=$(b from --pull-never "$base")
		b config --arch "$arch" "$container"
		b commit -q --timestamp 0 "$container" "$go" >/dev/null
		b rm "$container" >/dev/null
	fi
fi

# Modules are fetched here, with the settings of this machine; inside, all is there.
go -C "$source" mod download
mkdir -p "$(go env GOCACHE)"

b bud -q --pull-never --identity-label=false --timestamp 0 --format oci --platform "linux/$arch" \
	--build-arg GO_IMAGE="$go" --build-arg VERSION="${VERSION:-devel}" --build-arg COMMIT="${COMMIT:-unknown}" \
	-v "$(go env GOMODCACHE):/go/pkg/mod" -v "$(go env GOCACHE):/root/.cache/go-build" \
	-t "$ref" "$source" >/dev/null
mkdir -p "$(dirname "$out")"
rm -f "$out"
b push -q "$ref" "docker-archive:$out:$ref"

container=$(b from --pull-never --arch "$arch" "$ref")
root=$(b mount "$container")
binary=$(stat -c %s "$root/nautobot-token") certificates=$(stat -c %s "$root/etc/ssl/certs/ca-certificates.crt")
b umount "$container" >/dev/null
b rm "$container" >/dev/null
for old in $(b images -q --filter dangling=true); do b rmi "$old" >/dev/null; done # the builds before this one
printf '%s\n  %s\n  linux/%s, %s bytes: binary %s, CA certificates %s\n' \
	"$ref" "$(sha256sum "$out" | cut -c1-64) $out" "$arch" "$((binary + certificates))" "$binary" "$certificates"
