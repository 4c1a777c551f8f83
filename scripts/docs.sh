#!/usr/bin/env bash
# Builds the documentation site anew, warnings as errors, and says where it lies.
set -euo pipefail
cd "$(dirname "$0")/.."
stamp=.venv/docs
if ! [ -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ] || [ constraints.txt -nt "$stamp" ]; then
  echo "docs: installing Sphinx and its theme into .venv" >&2
  # The extra alone: the package is there, and installing it again would take it away from whoever runs it now.
  wanted="import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['docs'], sep='\n')"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -r <(.venv/bin/python -c "$wanted")
  touch "$stamp"
fi
.venv/bin/sphinx-build --fresh-env --fail-on-warning --keep-going --quiet -b html docs docs/_build/html "$@"
echo "The documentation is in $PWD/docs/_build/html: open index.html there."
