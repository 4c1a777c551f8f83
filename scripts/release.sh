#!/usr/bin/env bash
# Makes what is published: dist/ with wheel, sdist and SHA256SUMS. It publishes nothing; its last line is the command that would.
#   scripts/release.sh [--rehearse]      --rehearse: also with changes that are not committed and a version that is not dated; out of the last commit all the same
# Everything is built twice out of the last commit, in folders, time zones and under a umask of their own, and must be the same byte by byte.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "release: $*" >&2; exit 1; }

rehearse=${1:-}
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' napari_hsi_ssl/__init__.py)
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+((a|b|rc)[0-9]+)?$ ]] || fail "napari_hsi_ssl/__init__.py says version '$version', expected MAJOR.MINOR.PATCH, perhaps with rc1 behind; correct it."
if [ "$rehearse" != --rehearse ]; then
  [ -z "$(git status --porcelain)" ] || fail "the tree has changes that are not committed; commit them, or rehearse: scripts/release.sh --rehearse"
  grep -qE "^## $version \([0-9]{4}-[0-9]{2}-[0-9]{2}\)$" CHANGELOG.md || fail "CHANGELOG.md has no section '## $version (YYYY-MM-DD)'; write it, with the day of the release."
  ! git rev-parse -q --verify "refs/tags/v$version" >/dev/null || [ "$(git rev-parse "v$version^{commit}")" = "$(git rev-parse HEAD)" ] ||
    fail "the tag v$version stands at another commit; raise the version in napari_hsi_ssl/__init__.py."
fi

tools=.venv-release
scripts/environment.sh "$tools" "${PYTHON:-python3}" constraints.txt build hatchling hatch-fancy-pypi-readme twine
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export SOURCE_DATE_EPOCH
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
build() {
  local name=$1 zone=$2 mask=$3
  (
    umask "$mask"
    mkdir -p "$work/$name/source"
    git archive HEAD | tar -x -C "$work/$name/source"
    TZ=$zone "$tools/bin/python" -m build --no-isolation --outdir "$work/$name/dist" "$work/$name/source" >"$work/$name/log" 2>&1 || { cat "$work/$name/log"; exit 1; }
  )
}
build once UTC 022
build again/elsewhere Pacific/Auckland 077
for file in "$work"/once/dist/*; do
  cmp "$file" "$work/again/elsewhere/dist/$(basename "$file")" || fail "$(basename "$file") is not the same when built twice."
done
"$tools/bin/twine" check --strict "$work"/once/dist/*
rm -rf dist
mkdir dist
cp "$work"/once/dist/* dist/
(cd dist && sha256sum -- *.whl *.tar.gz >SHA256SUMS && cat SHA256SUMS)
echo "napari-hsi-ssl $version out of commit $(git rev-parse --short HEAD) is in dist/, twice the same. To publish it:"
echo "  git tag v$version && $tools/bin/twine upload dist/*.whl dist/*.tar.gz"
