#!/usr/bin/env bash
# Makes a virtual environment for one purpose, or brings it up to date; quick when nothing has changed.
#   scripts/environment.sh FOLDER PYTHON CONSTRAINTS REQUIREMENT...
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1 python=$2 constraints=$3
shift 3
wanted=$(cat pyproject.toml "$constraints" && echo "$PWD" "$@")
if [ -e "$folder/ready" ] && [ "$(cat "$folder/ready")" = "$wanted" ]; then
  exit 0
fi
rm -f "$folder/ready"
[ -x "$folder/bin/python" ] || "$python" -m venv --clear "$folder"
echo "environment: installing into $folder" >&2
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check -c "$constraints" "$@"
echo "$wanted" >"$folder/ready"
