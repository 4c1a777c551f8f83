#!/usr/bin/env bash
# Builds the documentation site, warnings as errors, and says where it lies.
set -euo pipefail
cd "$(dirname "$0")/.."
stamp=.venv/docs
if ! [ -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ] || [ constraints.txt -nt "$stamp" ]; then
  echo "docs: installing Sphinx and its theme into .venv" >&2
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
  touch "$stamp"
fi
.venv/bin/sphinx-build --fail-on-warning --keep-going --quiet -b html docs docs/_build/html "$@"
echo "The documentation is in $PWD/docs/_build/html: open index.html there."
