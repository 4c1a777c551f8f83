#!/usr/bin/env bash
# Makes .venv ready: the system's packages that a window needs, a virtual environment, the package and its tools.
# On Debian and Ubuntu it installs what is missing; elsewhere it says what is missing. Quick when there is nothing to do.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else fail "these packages are missing and only root can install them (there is no sudo): ${wanted[*]}. Ask an administrator for: apt-get install ${wanted[*]}"
  fi
}

apt_install() {
  wanted=("$@")
  say "installing ${wanted[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
}

system_packages() {
  local package missing=()
  for package in xvfb xauth libgl1 libgl1-mesa-dri libegl1 libopengl0 libdbus-1-3 libfontconfig1 fonts-dejavu-core libxkbcommon-x11-0 \
    libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-xfixes0 \
    libxcb-xinerama0 libxcb-xinput0; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  # glib's package has another name since Debian 13 and Ubuntu 24.04, which answers to the old one when installed.
  { ldconfig -p 2>/dev/null || /sbin/ldconfig -p; } | grep -q 'libgthread-2\.0\.so\.0' || missing+=(libglib2.0-0)
  [ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"
}

recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
    if command -v "$candidate" >/dev/null && recent "$candidate"; then echo "$candidate"; return; fi
  done
  return 1
}

if [ "$(uname)" = Linux ]; then
  if command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; then
    system_packages
  elif ! command -v xvfb-run >/dev/null; then
    say "xvfb-run is missing and this is neither Debian nor Ubuntu; install Xvfb and Mesa's OpenGL with your own package manager for the window's tests."
  fi
fi

if ! { [ -x .venv/bin/python ] && recent .venv/bin/python; }; then
  if ! python=$(find_python); then
    command -v apt-get >/dev/null || fail "no Python of version 3.11 or later was found; install one, or name it: make setup PYTHON=/path/to/python3"
    apt_install python3 python3-venv
    python=$(find_python) || fail "this system's Python is older than 3.11; install a later one and name it: make setup PYTHON=/path/to/python3"
  fi
  if ! "$python" -m venv --clear .venv >/dev/null 2>&1; then
    command -v apt-get >/dev/null || fail "$python cannot make a virtual environment; install its venv module."
    apt_install python3-venv
    "$python" -m venv --clear .venv
  fi
fi

stamp=.venv/ready
if [ -e "$stamp" ] && [ ! pyproject.toml -nt "$stamp" ] && [ ! constraints.txt -nt "$stamp" ] && [ "$(cat "$stamp")" = "$PWD" ]; then
  exit 0
fi
say "installing the package and its tools into .venv"
.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
echo "$PWD" >"$stamp"
