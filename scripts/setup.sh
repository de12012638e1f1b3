#!/bin/sh
# Set up .venv for `make demo`, `make test` or `make docs`: system libraries, virtual environment, the package.
# Usage: sh scripts/setup.sh demo|test|docs
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

# apt_install PACKAGE...: true when the packages were installed; false where that is not allowed or not possible.
apt_install() {
    command -v apt-get >/dev/null || return 1
    if [ "$(id -u)" -eq 0 ]; then as_root=env
    elif sudo -n true 2>/dev/null; then as_root='sudo -n env'
    else return 1; fi
    say "Installing with apt-get: $*"
    $as_root DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2 &&
        $as_root DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

# What Qt's xcb plugin, OpenGL and a virtual display need, as "file:Debian package".
qt_libraries='libEGL.so.1:libegl1 libGL.so.1:libgl1 libOpenGL.so.0:libopengl0 libX11-xcb.so.1:libx11-xcb1
libxkbcommon.so.0:libxkbcommon0 libxkbcommon-x11.so.0:libxkbcommon-x11-0 libxcb-cursor.so.0:libxcb-cursor0
libxcb-icccm.so.4:libxcb-icccm4 libxcb-image.so.0:libxcb-image0 libxcb-keysyms.so.1:libxcb-keysyms1
libxcb-randr.so.0:libxcb-randr0 libxcb-render-util.so.0:libxcb-render-util0 libxcb-shape.so.0:libxcb-shape0
libxcb-sync.so.1:libxcb-sync1 libxcb-xfixes.so.0:libxcb-xfixes0 libxcb-xkb.so.1:libxcb-xkb1
libxcb-util.so.1:libxcb-util1 libdbus-1.so.3:libdbus-1-3 libfontconfig.so.1:libfontconfig1
libglib-2.0.so.0:libglib2.0-0'

install_system_libraries() {
    [ "$(uname -s)" = Linux ] || return 0
    known=$(PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null || true)
    missing=
    for pair in $qt_libraries; do
        case "$known" in *"${pair%%:*} "*) ;; *) missing="$missing ${pair##*:}" ;; esac
    done
    command -v xvfb-run >/dev/null && command -v xauth >/dev/null || missing="$missing xvfb xauth"
    [ -n "$missing" ] || return 0
    # shellcheck disable=SC2086 # a list of package names
    apt_install $missing || say "These system libraries are missing and this account may not install them, so" \
        "please have them installed (Debian's names) if no window opens:$missing"
}

# find_python: the first interpreter that is 3.11 or newer and can make a virtual environment.
find_python() {
    for name in "${PYTHON:-}" python3.13 python3.12 python3.11 python3 python; do
        [ -n "$name" ] || continue
        "$name" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue
        printf '%s\n' "$name"
        return 0
    done
    return 1
}

make_environment() {
    if .venv/bin/python -m pip --version >/dev/null 2>&1; then return 0; fi
    python=$(find_python) || { apt_install python3-venv && python=$(find_python); } || {
        say 'No Python 3.11 or newer that can make virtual environments was found: install one (on Debian and' \
            'Ubuntu with its package python3-venv) or name it, as in: make demo PYTHON=/path/to/python3.12'
        exit 1
    }
    say "Creating .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
}

case "${1:-}" in
    demo) extras=all ;;
    test) extras=all,test ;;
    docs) extras=docs ;;
    *) say 'usage: sh scripts/setup.sh demo|test|docs'; exit 2 ;;
esac
install_system_libraries
make_environment
say "Installing napari-sam-stack[$extras] into .venv (the first time takes some minutes: PyTorch is large)"
.venv/bin/python -m pip install -qq --disable-pip-version-check --editable ".[$extras]" || {
    say 'pip could not install the packages (its message stands above): check the network connection, or set' \
        'PIP_INDEX_URL to a mirror, and run the same command again.'
    exit 1
}
