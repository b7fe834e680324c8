#!/usr/bin/env bash
# From a bare machine to two tasks of a web service that answer over HTTP.
#
#   ./deploy/quickstart.sh                  install what is missing, start Homeport, deploy the sample
#   ./deploy/quickstart.sh --stop           stop controller and agent; containers go on running
#   ./deploy/quickstart.sh --stop --purge   and remove every service, container and datum of this Homeport
#
# On a Debian or Ubuntu machine with git and python3, as root or through sudo. Safe to run again: what is there
# is left as it is. HOMEPORT_DATA_DIR and HOMEPORT_LISTEN choose another place and port.
set -euo pipefail
CALLED_FROM=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/lib/say.sh
. deploy/lib/say.sh
# shellcheck source=deploy/lib/install.sh
. deploy/lib/install.sh

usage() {
    sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

ACTION=start
PURGE=""
for argument in "$@"; do
    case $argument in
        --stop) ACTION=stop ;;
        --purge) PURGE=yes ;;
        -h | --help) usage && exit 0 ;;
        *) usage >&2 && exit 2 ;;
    esac
done
if [ -n "$PURGE" ] && [ "$ACTION" != stop ]; then
    usage >&2
    exit 2
fi

become_root "$PWD/deploy/quickstart.sh" "$@"

ENVIRONMENT=.venv
DATA_DIR=$(cd "$CALLED_FROM" && realpath -m "${HOMEPORT_DATA_DIR:-/var/lib/homeport}")
LISTEN=${HOMEPORT_LISTEN:-127.0.0.1:8480}
ENDPOINT=http://${LISTEN/#0.0.0.0:/127.0.0.1:}
UP_PID_FILE=$DATA_DIR/up.pid
UP_LOG=$DATA_DIR/up.log
# What this run itself has started, and takes back if a later step fails.
STARTED_UP=""
STARTED_SERVICE=""

# sample ACTION: one action of the sample service.
sample() {
    "$ENVIRONMENT/bin/python" deploy/lib/sample.py "$1" "$DATA_DIR"
}

# up_pid: the process id of the `homeport up` of this data directory; fails if it does not run.
up_pid() {
    local pid command
    pid=$(cat "$UP_PID_FILE" 2>/dev/null) && [ -n "$pid" ] || return 1
    # A process id is used again some day: it must be a homeport.
    command=$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline") || return 1
    [[ $command == *" up --data-dir $DATA_DIR "* ]] || return 1
    echo "$pid"
}

healthy() {
    "$ENVIRONMENT/bin/python" - "$ENDPOINT/healthz" >/dev/null 2>&1 <<'PYTHON'
import sys, urllib.request
urllib.request.urlopen(sys.argv[1], timeout=5).close()
PYTHON
}

stop_up() {
    local pid deadline=$((SECONDS + 60))
    pid=$(up_pid) || { rm -f "$UP_PID_FILE" && return 0; }
    kill "$pid"
    while up_pid >/dev/null; do
        [ "$SECONDS" -lt "$deadline" ] ||
            fail "homeport up (process $pid) does not stop" "look at $UP_LOG, or kill it: kill -9 $pid"
        sleep 0.2
    done
    rm -f "$UP_PID_FILE"
}

# take_back: undo what this run did, so that a failed run leaves nothing half-done behind.
take_back() {
    local status=$?
    trap - EXIT INT TERM
    explain_end "$status"
    if [ "$status" -ne 0 ]; then
        [ -z "$STARTED_SERVICE" ] || { echo "Removing the sample service again." >&2; sample remove || true; }
        [ -z "$STARTED_UP" ] || { echo "Stopping controller and agent again." >&2; (stop_up) || true; }
        stop_engine_if_started
    fi
    exit "$status"
}

start_up() {
    local deadline=$((SECONDS + 60))
    if up_pid >/dev/null; then
        note "controller and agent run already (process $(up_pid))"
        return 0
    fi
    ! healthy || fail "another controller answers at $ENDPOINT" \
        "stop it, or choose another port: HOMEPORT_LISTEN=127.0.0.1:8490 ./deploy/quickstart.sh"
    mkdir -p "$DATA_DIR"
    chmod 700 "$DATA_DIR"
    setsid "$ENVIRONMENT/bin/homeport" up --data-dir "$DATA_DIR" --listen "$LISTEN" \
        >>"$UP_LOG" 2>&1 </dev/null &
    echo $! >"$UP_PID_FILE"
    STARTED_UP=yes
    note "started; the log is $UP_LOG"
    until healthy; do
        up_pid >/dev/null || { show_end "$UP_LOG"; fail "homeport up ended at its start" "its log is $UP_LOG"; }
        if [ "$SECONDS" -ge "$deadline" ]; then
            show_end "$UP_LOG"
            fail "the controller does not answer at $ENDPOINT after a minute" "its log is $UP_LOG"
        fi
        sleep 0.2
    done
    note "the controller answers at $ENDPOINT"
}

# command_line WORDS…: how the person calls our command from where they are.
command_line() {
    local place=$ENVIRONMENT
    [ "$CALLED_FROM" = "$PWD" ] || place=$PWD/$ENVIRONMENT
    local line="$place/bin/homeport $*"
    [ -z "${HOMEPORT_DATA_DIR:-}" ] || line="$line --data-dir $DATA_DIR"
    [ -z "${SUDO_USER:-}" ] || line="sudo $line"
    echo "$line"
}

start() {
    SAY_STEPS=6
    trap take_back EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    step "Python environment"
    require_python
    ensure_environment "$ENVIRONMENT" homeport -c deploy/constraints.txt -e .
    step "Docker Engine"
    ensure_engine "$ENVIRONMENT" "$DATA_DIR/dockerd.log"
    step "Image of the sample service, built here without any registry"
    apt_install busybox-static
    sample image || fail "the image could not be built" "look at the lines above"
    step "Controller and agent"
    start_up
    sample join || { show_end "$UP_LOG"; fail "the agent did not join" "its log is $UP_LOG"; }
    step "Sample service: two tasks"
    sample deploy && STARTED_SERVICE=yes || [ $? -eq 10 ] || fail "the service could not be created" \
        "look at the lines above"
    step "Waiting for it to answer"
    sample wait || { show_end "$UP_LOG"; fail "the sample service does not answer" "its log is $UP_LOG"; }
    cat <<END

Homeport is running: $ENDPOINT (data in $DATA_DIR)

Point AWS's own tools at it, in this shell:
  eval "\$($(command_line env))"

Then try:
  $(command_line ps)
  aws ecs describe-services --services quickstart
  aws ecs update-service --service quickstart --desired-count 4

Stop it: ./deploy/quickstart.sh --stop (containers go on running; with --purge everything goes)
END
}

stop() {
    if [ ! -x "$ENVIRONMENT/bin/homeport" ]; then
        echo "Homeport is not installed here: nothing to stop."
        return 0
    fi
    if [ -n "$PURGE" ]; then
        purge
    elif up_pid >/dev/null; then
        step "Stopping controller and agent"
        stop_up
        echo "Stopped. Containers go on running; ./deploy/quickstart.sh finds them again."
    else
        echo "Controller and agent of $DATA_DIR do not run: nothing to stop."
    fi
}

purge() {
    [ -f "$DATA_DIR/client.json" ] || fail "$DATA_DIR holds no Homeport" "name its folder by HOMEPORT_DATA_DIR"
    if up_pid >/dev/null; then
        step "Stopping every service and task"
        sample stop-everything || note "going on without the controller's help"
        step "Stopping controller and agent"
        stop_up
    fi
    step "Removing containers, the sample's image and $DATA_DIR"
    sample forget || fail "the engine's objects could not be removed" "look at the lines above"
    "$ENVIRONMENT/bin/python" -m agent.endpoints.release || note "going on with what is said above left in place"
    rm -rf "$DATA_DIR"
    echo "Removed. The Docker Engine and $ENVIRONMENT are left in place."
}

"$ACTION"
