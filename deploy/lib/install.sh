# shellcheck shell=bash
# Installing what Homeport needs on a Debian or Ubuntu machine. Sourced, not run; needs say.sh.
#
# Everything here first looks whether it is needed at all, and may be run any number of times.

PYTHON=${PYTHON:-python3}
INSTALL_APT_UPDATED=""
INSTALL_DOCKERD_PID=""

# become_root SCRIPT ARGUMENTS…: start the script again through sudo unless root runs it already.
become_root() {
    [ "$(id -u)" -ne 0 ] || return 0
    command -v sudo >/dev/null ||
        fail "this needs root, to install packages and to reach the Docker Engine" "run it as root: su -c '$*'"
    echo "Root is needed, to install packages and to reach the Docker Engine: going on through sudo."
    exec sudo --preserve-env "$@"
}

# apt_install PACKAGE…: install those of the packages that are missing.
apt_install() {
    local package missing=()
    for package in "$@"; do
        [[ $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null) == *"ok installed" ]] || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null ||
        fail "these packages are missing, and this machine has no apt-get: ${missing[*]}" \
            "install them with the system's own package manager, then run this again"
    note "installing from the distribution: ${missing[*]}"
    local log
    log=$(mktemp)
    if ! { _apt_update && _apt install "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
        show_end "$log"
        rm -f "$log"
        fail "apt-get could not install ${missing[*]}" "look at the lines above; 'apt-get update' must work"
    fi
    rm -f "$log"
}

_apt_update() {
    [ -z "$INSTALL_APT_UPDATED" ] || return 0
    _apt update && INSTALL_APT_UPDATED=yes
}

_apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends "$@"
}

# settings_to_join FILE: the agent's settings with HOMEPORT_JOIN_TOKEN, from those in FILE, if there is one, and
# those on standard input. What says where the machine belonged before gives way to the token; others stay.
settings_to_join() {
    local before='^(AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|DEFAULT_REGION)|ECS_(BACKEND_HOST|CLUSTER)'
    before+='|HOMEPORT_(JOIN_TOKEN|CA_FILE|AUTHORITY_FINGERPRINT))='
    { cat "$1" 2>/dev/null || true; cat; } | { grep -vE "$before|^$" || true; } |
        tac | awk -F= '!seen[$1]++' | tac # of those with one name the last counts
    echo "HOMEPORT_JOIN_TOKEN=$HOMEPORT_JOIN_TOKEN"
}

# require_python: a Python that is new enough.
require_python() {
    command -v "$PYTHON" >/dev/null || apt_install python3
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$("$PYTHON" --version) is too old: Homeport needs Python 3.11 or newer" \
            "use Debian 12, Ubuntu 24.04 or newer, or set PYTHON to a newer interpreter"
}

# ensure_environment DIRECTORY MARK PIP-ARGUMENTS…: a virtual environment with these things in it.
#
# MARK names what is installed there; a file of this name in the directory, written last, holds a fingerprint of
# the packaging files, so that nothing is done where nothing changed. A directory that could not be completed is
# removed if it was made here.
ensure_environment() {
    local directory=$1 mark=$1/.installed-$2 fingerprint log made_here=""
    shift 2
    fingerprint=$(cat pyproject.toml deploy/*.txt <("$PYTHON" -VV) <(echo "$*") | sha256sum)
    if [ -x "$directory/bin/python" ] && [ "$(cat "$mark" 2>/dev/null)" = "$fingerprint" ]; then
        note "$directory is up to date"
        return 0
    fi
    if ! "$directory/bin/python" -m pip --version >/dev/null 2>&1; then
        "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
        note "creating $directory"
        made_here=yes
        "$PYTHON" -m venv --clear "$directory" ||
            { rm -rf "$directory"; fail "could not create $directory" "install the package python3-venv"; }
    fi
    note "installing into $directory (up to a minute)"
    log=$(mktemp)
    if ! _pip_install "$directory" "$@" >"$log" 2>&1 </dev/null; then
        show_end "$log"
        rm -f "$log"
        [ -z "$made_here" ] || rm -rf "$directory"
        fail "pip could not install into $directory" "look at the lines above, then run this again"
    fi
    rm -f "$log"
    echo "$fingerprint" >"$mark"
}

_pip_install() {
    local directory=$1 attempt
    shift
    for attempt in 1 2 3; do
        "$directory/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$@" && return 0
        echo "attempt $attempt of 3 failed"
    done
    return 1
}

# engine_answers ENVIRONMENT: whether a Docker Engine answers; asks with the SDK in this virtual environment.
engine_answers() {
    "$1/bin/python" - >/dev/null 2>&1 <<'PYTHON'
import docker
docker.from_env(timeout=5).ping()
PYTHON
}

# ensure_engine ENVIRONMENT LOG: install the Docker Engine if there is none, and start it if it does not run.
#
# Sets INSTALL_DOCKERD_PID if it started dockerd itself because no init system could.
ensure_engine() {
    local environment=$1 log=$2
    if engine_answers "$environment"; then
        note "a Docker Engine is running"
        return 0
    fi
    [ -z "${DOCKER_HOST:-}" ] ||
        fail "no Docker Engine answers at DOCKER_HOST=$DOCKER_HOST" "start it, or unset DOCKER_HOST"
    PATH=$PATH:/usr/sbin:/sbin
    command -v dockerd >/dev/null || apt_install docker.io iptables
    engine_answers "$environment" && return 0 # the package's own scripts have started it
    if [ -d /run/systemd/system ]; then
        note "starting the service docker"
        systemctl enable --quiet --now docker || true # judged below, by whether it answers
    else
        note "starting dockerd (no init system runs here); its log is $log"
        mkdir -p "$(dirname "$log")"
        setsid dockerd >"$log" 2>&1 </dev/null &
        INSTALL_DOCKERD_PID=$!
    fi
    _wait_for_engine "$environment" "$log"
}

_wait_for_engine() {
    local deadline=$((SECONDS + 60))
    until engine_answers "$1"; do
        if [ -n "$INSTALL_DOCKERD_PID" ] && ! kill -0 "$INSTALL_DOCKERD_PID" 2>/dev/null; then
            show_end "$2"
            INSTALL_DOCKERD_PID=""
            fail "dockerd ended at its start" "its log is $2"
        fi
        if [ "$SECONDS" -ge "$deadline" ]; then
            show_end "$2"
            fail "the Docker Engine does not answer after a minute" "look at $2 or 'journalctl -u docker'"
        fi
        sleep 0.5
    done
}

# stop_engine_if_started: stop dockerd if, and only if, ensure_engine started it itself.
stop_engine_if_started() {
    [ -n "$INSTALL_DOCKERD_PID" ] || return 0
    kill "$INSTALL_DOCKERD_PID" 2>/dev/null || return 0
    wait "$INSTALL_DOCKERD_PID" 2>/dev/null || true
    INSTALL_DOCKERD_PID=""
}
