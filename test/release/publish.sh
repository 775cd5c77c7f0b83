#!/usr/bin/env bash
# publish.sh STEP
#
# The steps of the release workflow, in this order: go-version, check, tools,
# image, chart, sign, release. They run in the folder of the program's module.
#
# From the environment: TAG, nautobot-token-vVERSION; REGISTRY_USER and
# GITHUB_TOKEN to log in with; IMAGE and CHARTS, if they are pushed elsewhere
# than to ghcr.io. What one step leaves for the next is in dist.
set -euo pipefail

IMAGE=${IMAGE:-ghcr.io/rackerlabs/understack/nautobot-token}
CHARTS=${CHARTS:-ghcr.io/rackerlabs/charts} # where this repository's other charts are
COSIGN=${COSIGN:-bin/cosign}
HELM=${HELM:-bin/helm}

fail() { echo "publish.sh: $*" >&2 && exit 1; }

# What is not a semantic version, or has build metadata, cannot name an image.
version() {
	local version=${TAG#nautobot-token-v}
	[[ $TAG == nautobot-token-v* && $version =~ ^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?$ ]] ||
		fail "the tag $TAG is not nautobot-token-v and a semantic version"
	echo "$version"
}

# The section of the changelog that is about this version. One before a release
# has what is not released yet.
notes() {
	local section=$1
	[[ $section == *-* ]] && section=Unreleased
	awk -v title="## [$section]" 'index($0, "## ") == 1 { found = index($0, title) == 1; next } found' CHANGELOG.md
}

digest() { # digest FILE: the digest in it, and nothing else
	local digest
	digest=$(grep -oE 'sha256:[0-9a-f]{64}' "$1" | head -n 1)
	[[ -n $digest ]] || fail "$1 has no digest"
	echo "$digest"
}

login() { # login COMMAND...: the token is on standard input, never an argument
	"$@" login "${IMAGE%%/*}" --username "$REGISTRY_USER" --password-stdin <<<"$GITHUB_TOKEN"
}

# Archives and image are built with the same Go, which the Dockerfile names.
step_go-version() { sed -n 's/^ARG GO_IMAGE=golang:\([0-9.]*\)-.*/version=\1/p' Dockerfile; }

# Everything that can be wrong before anything is published.
step_check() {
	local version
	version=$(version)
	grep -q '[^[:space:]]' <(notes "$version") || fail "CHANGELOG.md has nothing about $version"
	[[ $(make --no-print-directory -s version) == "$version" ]] || fail "the checkout is not the tag $TAG, or has changes"
	if gh release view "$TAG" >/dev/null 2>&1; then fail "$TAG is released already: make a new version"; fi
	echo "releasing $version"
}

step_tools() {
	go -C test/tools/cosign build -ldflags '-s -w' -o "$PWD/bin/cosign" github.com/sigstore/cosign/v3/cmd/cosign
	go -C charts build -ldflags '-s -w' -o "$PWD/bin/helm" helm.sh/helm/v3/cmd/helm
}

# BuildKit adds an SBOM and the provenance for each platform, and pushes all of
# it as one index. Its digest is what the next steps use: a tag can move.
step_image() {
	local version
	version=$(version)
	login docker
	docker buildx create --name release --driver docker-container --use
	docker buildx build --platform linux/amd64,linux/arm64 --sbom=true --provenance=mode=max \
		--build-arg VERSION="$version" --build-arg COMMIT="$(git rev-parse HEAD)" \
		--build-arg SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" \
		--tag "$IMAGE:$version" --push --metadata-file dist/image.json .
	jq -r '."containerimage.digest"' dist/image.json >dist/image.digest
	echo "$IMAGE@$(digest dist/image.digest)"
}

step_chart() {
	local version
	version=$(version)
	login "$HELM" registry
	# shellcheck disable=SC2086 # HELM_FLAGS are words
	"$HELM" push ${HELM_FLAGS:-} "dist/nautobot-token-$version.tgz" "oci://$CHARTS" 2>&1 | tee dist/chart.digest
	echo "$CHARTS/nautobot-token@$(digest dist/chart.digest)"
}

# Cosign's identity is that of the workflow at this tag: there is no key. The
# checksums stand for the archives and the packaged chart.
step_sign() {
	login "$COSIGN"
	"$COSIGN" sign --yes --recursive "$IMAGE@$(digest dist/image.digest)"
	"$COSIGN" sign --yes "$CHARTS/nautobot-token@$(digest dist/chart.digest)"
	(cd dist && sha256sum --check --quiet SHA256SUMS)
	"$COSIGN" sign-blob --yes --bundle dist/SHA256SUMS.sigstore.json dist/SHA256SUMS
}

# Last, so that what it names is there. Other components have releases of their
# own in the repository: none of these is "the latest".
step_release() {
	local version flags=(--verify-tag --latest=false)
	version=$(version)
	[[ $version == *-* ]] && flags+=(--prerelease)
	{
		notes "$version"
		# shellcheck disable=SC2016 # the backquotes are Markdown
		printf '\n## Digests\n\n- Image: `%s:%s@%s`\n- Chart: `oci://%s/nautobot-token:%s@%s`\n' \
			"$IMAGE" "$version" "$(digest dist/image.digest)" "$CHARTS" "$version" "$(digest dist/chart.digest)"
	} >dist/notes.md
	gh release create "$TAG" "${flags[@]}" --title "nautobot-token $version" --notes-file dist/notes.md \
		dist/*.tar.gz dist/*.tgz dist/SHA256SUMS dist/SHA256SUMS.sigstore.json
}

[[ $(type -t "step_${1:-}") == function ]] || fail "there is no step ${1:-}"
"step_$1"
