# Functions of the slow jobs; sourced with the repository as current folder.

# need_python EXTRA...: install what lo2dask and these extras of it need and what is not there yet.
need_python() {
    local list
    list=$(mktemp)
    "$PYTHON" scripts/requirements.py "$@" >"$list"
    "$PYTHON" -m pip install --quiet -r "$list" </dev/null
    rm -f "$list"
}

# need_debian COMMAND PACKAGE...: install Debian packages when a command is missing; only root can.
need_debian() {
    local command=$1
    shift
    if PATH=$PATH:/usr/sbin:/sbin command -v "$command" >/dev/null 2>&1; then return; fi
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "$command is missing, and only root can install it here: apt-get install $*" >&2
        exit 1
    fi
    apt-get update -qq </dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" </dev/null >/dev/null
}

# fresh_tests FOLDER OPTION...: the quick tests in a new environment with the versions that these options choose.
fresh_tests() {
    local folder=$1
    shift
    # What is installed is tested, as far as the tests do not take it from the current folder.
    unset PYTHONPATH
    "$PYTHON" -m venv "$folder/venv"
    PYTHON=$folder/venv/bin/python
    PATH=$folder/venv/bin:$PATH
    "$PYTHON" scripts/requirements.py "$@" dev >"$folder/requirements.txt"
    "$PYTHON" -m pip install --quiet -r "$folder/requirements.txt" </dev/null
    "$PYTHON" -m pip install --quiet --no-deps . </dev/null
    "$PYTHON" -m pip check
    "$PYTHON" -m pip list --format freeze | paste -sd ' '
    "$PYTHON" -m pytest -q </dev/null
}
