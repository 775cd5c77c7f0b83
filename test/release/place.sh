#!/usr/bin/env bash
# place.sh REPOSITORY [FOLDER]
#
# Copies this project into another repository, below FOLDER (go/nautobot-token).
# GitHub reads workflows only at the root of a repository: they go there, under
# names of their own, and say where the project is.
set -euo pipefail

repository=$(cd "${1:?place.sh REPOSITORY [FOLDER]}" && pwd)
folder=${2:-go/nautobot-token}
target=$repository/$folder
cd "$(dirname "$0")/../.."

if [[ -e $target ]]; then echo "place.sh: $target is there already" >&2 && exit 1; fi
mkdir -p "$target" "$repository/.github/workflows"
git ls-files -z --cached --others --exclude-standard | tar --null --files-from - --create | tar --extract --directory "$target"

shopt -s nullglob # a copy of a copy: its workflows are at the root already
for workflow in "$target"/.github/workflows/*.yaml; do
	to=.github/workflows/nautobot-token-$(basename "$workflow")
	sed -e "s|^  PROJECT: \.$|  PROJECT: $folder|" \
		-e "s|^\( *\)paths: \['\*\*'\]$|\1paths: ['$folder/**', '$to']|" "$workflow" >"$repository/$to"
	rm "$workflow"
done
rmdir "$target/.github/workflows" "$target/.github" 2>/dev/null || true
echo "$target, and .github/workflows/nautobot-token-*.yaml"
