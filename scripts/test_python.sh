#!/usr/bin/env bash
# The tests without a window under another Python, in an environment of its own (.venv-python3.13 and so on).
#   scripts/test_python.sh PYTHON [pytest option...]
# Where no build of torch for that Python is to be had, TORCH=no leaves torch out: what needs it is then skipped and counted.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:?name an interpreter: scripts/test_python.sh /path/to/python3.13}
shift
version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
environment=.venv-$version
if [ "${TORCH:-yes}" = no ]; then
  wanted=$("$python" - <<'P'
import re, tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
extras = project["optional-dependencies"]
wanted = [line for name in ("gui", "pyqt5", "samples", "geo", "umap", "cluster", "tests") for line in extras[name]] + project["dependencies"]
print("\n".join(line for line in wanted if not re.match(r"(torch|lightning-fabric|napari-hsi-ssl)\b", line)))
P
)
  mapfile -t lines <<<"$wanted"
  scripts/environment.sh "$environment" "$python" constraints.txt "${lines[@]}"
  "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -e .
  set -- -p tests.without_torch "$@"
else
  scripts/environment.sh "$environment" "$python" constraints.txt -e ".[all,tests]"
fi
"$environment/bin/python" --version
OMP_NUM_THREADS=1 QT_QPA_PLATFORM=offscreen "$environment/bin/python" -m pytest -n 2 --ignore=tests/gui -q "$@"
