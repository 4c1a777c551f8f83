#!/usr/bin/env bash
# Installs wheel and sdist as a stranger would: each into an empty environment, far from this checkout, and works with what is there.
#   scripts/check_wheel.sh [FOLDER]      the two files in FOLDER (dist/ of a release); without one they are built here
# 1. the wheel made of the sdist is the wheel; nothing but the package is in it
# 2. without extras the command line works, and what needs a window or a sample says so in one sentence
# 3. wheel[all] runs the demonstration and opens its window; sdist[all] lays the first map over the sample
set -euo pipefail
cd "$(dirname "$0")/.."
here=$PWD python=${PYTHON:-python3}
fail() { echo "check_wheel: $*" >&2; exit 1; }
say() { echo "== $*"; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
screen() { LIBGL_ALWAYS_SOFTWARE=1 QT_QPA_PLATFORM=xcb xvfb-run -n "${SCREEN:-200}" -a -s "-screen 0 1600x1000x24" "$@"; }
install() { # ENVIRONMENT REQUIREMENT
  "$python" -m venv "$work/$1"
  "$work/$1/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check -c "$here/constraints.txt" "$2"
}

scripts/environment.sh .venv-release "$python" constraints.txt build hatchling hatch-fancy-pypi-readme twine
builder=$here/.venv-release/bin/python
if [ $# = 1 ]; then
  cp "$1"/*.whl "$1"/*.tar.gz "$work"
else
  SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 1577836800) "$builder" -m build --no-isolation --outdir "$work" . >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
fi
wheel=$(ls "$work"/*.whl) sdist=$(ls "$work"/*.tar.gz)

say "contents"
mkdir "$work/out"
tar -xzf "$sdist" -C "$work/out"
"$builder" -m build --no-isolation --wheel --outdir "$work/out" "$work"/out/napari_hsi_ssl-* >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
"$python" - "$wheel" "$work"/out/*.whl <<'P'
import sys, zipfile
first, second = ({name: zipfile.ZipFile(path).read(name) for name in zipfile.ZipFile(path).namelist()} for path in sys.argv[1:])
assert first == second, sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
tops = {name.split("/")[0] for name in first}
assert len(tops) == 2 and "napari_hsi_ssl" in tops, tops
for wanted in ("napari_hsi_ssl/napari.yaml", "napari_hsi_ssl/py.typed", "napari_hsi_ssl/models/pretrained.safetensors", "napari_hsi_ssl/models/pretrained.json"):
    assert wanted in first, wanted
assert any(name.endswith("dist-info/licenses/LICENSE") for name in first)
assert not any("test" in name.split("/")[1] for name in first if name.startswith("napari_hsi_ssl/")), "tests in the package"
print(f"{len(first)} files in the wheel, the same out of the sdist")
P

cd "$work/out"
say "the wheel without extras"
install bare "$wheel"
bare=$work/bare/bin/napari-hsi-ssl
"$work/bare/bin/python" -c 'import napari_hsi_ssl, sys; assert napari_hsi_ssl.__file__.startswith(sys.prefix), napari_hsi_ssl.__file__'
"$work/bare/bin/python" -c 'import numpy as np; np.save("cube.npy", np.random.default_rng(0).integers(0, 4000, (40, 50, 12), dtype=np.uint16))'
"$bare" new project --cubes cube.npy >/dev/null
"$bare" mask project --method otsu >/dev/null
"$bare" pca project --components 4 >/dev/null
for words in "demo" "open project" "new other --sample indian_pines"; do
  ! said=$("$bare" $words 2>&1) || fail "'$words' should fail without extras"
  [ "$(echo "$said" | wc -l)" = 1 ] && [[ $said == "error: "*"pip install \"napari-hsi-ssl["* ]] || fail "'$words' without extras says: $said"
  echo "$words: $said"
done

say "the wheel with everything"
install full "$wheel[all]"
screen "$work/full/bin/napari-hsi-ssl" demo --headless demo --epochs 2 --json 2>"$work/log" | tail -n 1 >report.json || { cat "$work/log"; exit 1; }
"$python" - <<'P'
import json, pathlib
report = json.loads(pathlib.Path("report.json").read_text())
assert len(report["screenshots"]) == 7 and all(pathlib.Path(path).stat().st_size > 20_000 for path in report["screenshots"]), report
assert len(report["maps"]) == 3 and all(pathlib.Path(path).exists() for path in report["maps"].values()), report
print({name: round(found["oa"], 3) for name, found in report["accuracies"].items()})
P
found=$("$work/full/bin/npe2" list 2>/dev/null | grep -c napari-hsi-ssl) && [ "$found" -ge 1 ] || fail "napari does not find the plugin"

say "the sdist with everything"
install source "$sdist[all]"
"$work/source/bin/napari-hsi-ssl" new first --sample indian_pines >/dev/null
"$work/source/bin/napari-hsi-ssl" classify first >/dev/null 2>&1
screen "$work/source/bin/napari-hsi-ssl" open first --to first.png >/dev/null 2>&1
[ "$(stat -c %s first.png)" -gt 20000 ] || fail "the window's picture is nearly empty"
echo "wheel and sdist install and work in empty environments"
