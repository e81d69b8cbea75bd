# Sourced: `tools NAME FILE` makes a virtual environment of Python's under target/tools with what FILE
# lists, once. A changed list makes it again.
TOOLS="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/target/tools"

tools() {
    local at="$TOOLS/$1" list=$2
    if cmp -s "$list" "$at/list"; then return; fi
    if ! command -v python3 >/dev/null || ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
        echo "python3 with venv is missing: install it, such as Debian's python3-venv" >&2
        return 1
    fi
    rm -rf "$at"
    mkdir -p "$TOOLS"
    python3 -m venv "$at"
    if ! "$at/bin/pip" install --quiet --disable-pip-version-check -r "$list"; then
        echo "pip could not install $list for the checks of $1: look at the network, or at pip's index" >&2
        rm -rf "$at"
        return 1
    fi
    cp "$list" "$at/list"
}
