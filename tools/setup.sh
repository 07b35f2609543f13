#!/bin/bash
# Makes a bare Debian 12 able to run (or, with "dev", to test) Allobox, and says what it does.
# Idempotent: what is there is not fetched again. Root, or a user with sudo.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-run}
say() { printf '\033[1m[set-up]\033[0m %s\n' "$*"; }
fail() { printf '[set-up] %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else fail "Debian packages are missing and neither root nor sudo is here; as root run: apt-get install $missing"
    fi
}

lists="tools/debian-run.txt"
[ "$what" = dev ] && lists="$lists tools/debian-dev.txt"
# shellcheck disable=SC2086 # one word a file
wanted=$(sed 's/#.*//' $lists | tr -s ' \n' ' ')
missing=""
for package in $wanted; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
    command -v apt-get >/dev/null || fail "this needs Debian 12 or a relative of it; install by hand:$missing"
    say "Debian packages to install:$missing"
    as_root apt-get update -q 2>&1 | tail -n 1
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing 2>&1 |
        grep --line-buffered -E '^(Setting up|E:)' || fail "apt-get could not install:$missing"
fi

python=/usr/bin/python3
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$python is older than 3.11"
if [ ! -x .venv/bin/python ]; then
    say "making a virtual environment in .venv"
    "$python" -m venv .venv
fi
lock=requirements.lock
[ "$what" = dev ] && lock=requirements-dev.lock
stamp=".venv/.$what-$(sha256sum $lock pyproject.toml tools/setup.sh | sha256sum | cut -c1-16)"
if [ ! -e "$stamp" ]; then
    say "Python packages of $lock (pinned by hash; the first time takes a minute or two)"
    .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r $lock
    # The same hashes hold for the build tool, so nothing unpinned runs.
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
    rm -f ".venv/.$what-"*
    touch "$stamp"
fi
.venv/bin/python -m firmware.i18n
say "ready"
