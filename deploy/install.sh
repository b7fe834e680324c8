#!/usr/bin/env bash
# Installs Homeport on this machine as services of systemd's, upgrades it, and removes it. Tasks go on running.
#
#   ./deploy/install.sh controller [--listen HOST:PORT] [--tls | --allow-plain-http] [--public-url URL]
#   ./deploy/install.sh agent --token TOKEN       TOKEN is what `homeport token create` prints
#   ./deploy/install.sh agent [--config FILE]     FILE is what `homeport agent-config --agent homeport` prints;
#                                                 - reads it from standard input
#   ./deploy/install.sh upgrade                   exchange the program for the one beside this script
#   ./deploy/install.sh uninstall [--purge]       --purge takes the data and the settings too
#
# On a Debian or Ubuntu machine, as root or through sudo. Safe to run again: settings that are there stay.
#
# Alone it fetches the rest from HOMEPORT_SOURCE (a git repository, or the path or URL of a .tar.gz). So it serves
# as EC2 user data: put such lines below its first one, and no arguments are needed.
#   export HOMEPORT_INSTALL="agent" HOMEPORT_SOURCE=https://… ECS_BACKEND_HOST=http://… ECS_CLUSTER=…
#   export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… AWS_DEFAULT_REGION=…    or HOMEPORT_JOIN_TOKEN=… alone
# Without --config, an agent's settings are the ECS_*, AWS_*, HOMEPORT_* and proxy variables of this script, or
# those for the controller of this machine.
set -euo pipefail

PREFIX=/opt/homeport
SETTINGS=/etc/homeport
UNITS=/etc/systemd/system
CONTROLLER_DATA=/var/lib/homeport
AGENT_DATA=/var/lib/homeport-agent
SERVICES=(homeport-controller homeport-agent) # in the order in which they are restarted
RELEASES_KEPT=2
SCRIPT=${BASH_SOURCE[0]:-}
HERE=$(dirname "${SCRIPT:-.}")/..

usage() {
    sed -n '/^# Installs/,/^set /s/^# \{0,1\}//p' "${SCRIPT:-/dev/null}"
}

wrong() {
    echo "install.sh: $1" >&2
    usage >&2
    exit 2
}

# fetch_the_rest ARGUMENTS…: for a script that came alone; runs the one that it fetches, and ends.
fetch_the_rest() {
    local place
    [ -n "${HOMEPORT_SOURCE:-}" ] || wrong "there is nothing beside this script: set HOMEPORT_SOURCE"
    place=$(mktemp -d)
    case $HOMEPORT_SOURCE in
        http*://*.tar.gz) fetch_url "$HOMEPORT_SOURCE" | tar -xz -C "$place" --strip-components=1 ;;
        *.tar.gz) tar -xz -C "$place" --strip-components=1 -f "$HOMEPORT_SOURCE" ;;
        *)
            command -v git >/dev/null || { apt-get -q update && apt-get -q -y install --no-install-recommends git; }
            git clone --quiet --depth 1 "$HOMEPORT_SOURCE" "$place"
            ;;
    esac
    "$place/deploy/install.sh" "$@" || { rm -rf "$place" && exit 1; }
    rm -rf "$place"
    exit 0
}

# fetch_url URL: its content, by whichever client is there.
fetch_url() {
    if command -v curl >/dev/null; then
        curl -fsSL --retry 5 "$1"
    else
        command -v python3 >/dev/null ||
            { apt-get -q update && apt-get -q -y install --no-install-recommends python3; } >&2
        python3 -c 'import shutil, sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=60) as answer: shutil.copyfileobj(answer, sys.stdout.buffer)' "$1"
    fi
}

# --- what is asked for ---------------------------------------------------------------------------------------

if [ $# -eq 0 ] && [ -n "${HOMEPORT_INSTALL:-}" ]; then
    read -ra WORDS <<<"$HOMEPORT_INSTALL"
    set -- "${WORDS[@]}"
fi
ARGUMENTS=("$@")
ACTION=""
CONFIG="" TOKEN="" LISTEN="" PUBLIC_URL="" ALLOW_PLAIN_HTTP="" TLS="" PURGE=""
while [ $# -gt 0 ]; do
    argument=$1
    shift
    case $argument in
        controller | agent | upgrade | uninstall)
            [ -z "$ACTION" ] || wrong "one of controller, agent, upgrade and uninstall at a time"
            ACTION=$argument
            continue
            ;;
        -h | --help) usage && exit 0 ;;
        --allow-plain-http) ALLOW_PLAIN_HTTP=yes ;;
        --tls) TLS=yes ;;
        --purge) PURGE=yes ;;
        --config | --listen | --public-url | --token)
            [ $# -gt 0 ] || wrong "$argument needs a value"
            case $argument in
                --config) CONFIG=$1 ;;
                --listen) LISTEN=$1 ;;
                --public-url) PUBLIC_URL=$1 ;;
                --token) export HOMEPORT_JOIN_TOKEN=$1 TOKEN=$1 ;;
            esac
            shift
            ;;
        *) wrong "$argument is not known" ;;
    esac
done
[ -n "$ACTION" ] || wrong "say what to do: controller, agent, upgrade or uninstall"
[ -z "$PURGE" ] || [ "$ACTION" = uninstall ] || wrong "--purge belongs to uninstall"
[ -z "$CONFIG$TOKEN" ] || [ "$ACTION" = agent ] || wrong "--config and --token belong to agent"
[ -z "$CONFIG" ] || [ -z "$TOKEN" ] || wrong "one of --config and --token"
[ -z "$LISTEN$PUBLIC_URL$ALLOW_PLAIN_HTTP$TLS" ] || [ "$ACTION" = controller ] ||
    wrong "--listen, --tls, --allow-plain-http and --public-url belong to controller"

[ -f "$HERE/deploy/lib/install.sh" ] || fetch_the_rest "${ARGUMENTS[@]}"
[ -z "$CONFIG" ] || [ "$CONFIG" = - ] || CONFIG=$(realpath "$CONFIG")
cd "$HERE"
# shellcheck source=deploy/lib/say.sh
. deploy/lib/say.sh
# shellcheck source=deploy/lib/install.sh
. deploy/lib/install.sh
become_root "$PWD/deploy/install.sh" "${ARGUMENTS[@]}"

# --- the program ---------------------------------------------------------------------------------------------

# install_program: a release of its own below $PREFIX/releases; `current` still points at the one before.
install_program() {
    local staging=$PREFIX/staging digest
    step "Program"
    require_python
    # pip builds where the source is, and would leave its traces there.
    rm -rf "$staging"
    mkdir -p "$staging"
    cp -a agent controller LICENSE README.md pyproject.toml "$staging"
    cp -a deploy "$staging"
    find "$staging" -name __pycache__ -prune -exec rm -rf {} +
    digest=$(cd "$staging" && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum)
    RELEASE=$PREFIX/releases/$("$PYTHON" -c "$READ_VERSION" "$staging")-${digest:0:12}
    mkdir -p "$PREFIX/releases"
    ensure_environment "$RELEASE" homeport -c deploy/constraints.txt "$staging"
    # The controller gives it to the machines that join.
    [ -d "$RELEASE/source" ] || mv "$staging" "$RELEASE/source"
    rm -rf "$staging"
}

READ_VERSION='
import re, sys
with open(sys.argv[1] + "/agent/__init__.py") as file:
    print(re.search(r"__version__ = \"(.+)\"", file.read())[1])'

# point_at RELEASE: make it the current one, in one step.
point_at() {
    ln -sfn "$1" "$PREFIX/next"
    mv -fT "$PREFIX/next" "$PREFIX/current"
    ln -sfn "$PREFIX/current/bin/homeport" /usr/local/bin/homeport
}

current_release() {
    readlink "$PREFIX/current" 2>/dev/null || true
}

remove_old_releases() {
    local release kept=0
    while read -r release; do
        kept=$((kept + 1))
        [ "$kept" -le "$RELEASES_KEPT" ] || [ "$release" = "$(current_release)" ] || rm -rf "$release"
    done < <(find "$PREFIX/releases" -mindepth 1 -maxdepth 1 -printf '%T@ %p\n' | sort -rn | cut -d' ' -f2-)
}

# --- services ------------------------------------------------------------------------------------------------

systemd_runs() {
    [ -d /run/systemd/system ]
}

# write_settings NAME: one settings file from standard input, for its owner's eyes only.
write_settings() {
    mkdir -p "$SETTINGS"
    chmod 755 "$SETTINGS"
    (umask 077 && cat >"$SETTINGS/$1.new" && mv "$SETTINGS/$1.new" "$SETTINGS/$1")
}

# set_up SERVICE: install and enable its unit, and start it or start it anew.
set_up() {
    local service=$1
    mkdir -p "$UNITS"
    install -m 644 "deploy/systemd/$service.service" "$UNITS/$service.service"
    systemctl enable --quiet "$service"
    if ! systemd_runs; then
        note "$service starts with the machine: systemd does not run now"
        return 0
    fi
    systemctl daemon-reload
    restart "$service" || { service_log "$service"; fail "$service does not start" "look at: journalctl -u $service"; }
    note "$service runs"
}

# restart SERVICE: whether it then runs, and still does after a moment.
restart() {
    systemctl restart "$1" 2>/dev/null && sleep 1 && systemctl --quiet is-active "$1"
}

service_log() {
    journalctl --no-pager -o cat -n 15 -u "$1" 2>/dev/null | sed 's/^/      | /' >&2 || true
}

installed() {
    [ -f "$UNITS/$1.service" ]
}

# --- actions -------------------------------------------------------------------------------------------------

controller() {
    local toml=$CONTROLLER_DATA/homeport.toml
    [ ! -e "$CONTROLLER_DATA/up.pid" ] || fail "$CONTROLLER_DATA belongs to quickstart.sh" \
        "remove that one first: ./deploy/quickstart.sh --stop --purge"
    install_program
    step "Controller"
    id homeport >/dev/null 2>&1 ||
        useradd --system --user-group --home-dir "$CONTROLLER_DATA" --shell /usr/sbin/nologin homeport
    install -d -o homeport -g homeport -m 700 "$CONTROLLER_DATA"
    if [ -n "$LISTEN$PUBLIC_URL$ALLOW_PLAIN_HTTP$TLS" ]; then
        [ ! -e "$toml" ] || note "$toml is replaced; the one before is $toml.old"
        [ ! -e "$toml" ] || mv "$toml" "$toml.old"
        {
            [ -z "$LISTEN" ] || echo "listen = \"$LISTEN\""
            [ -z "$PUBLIC_URL" ] || echo "public_url = \"$PUBLIC_URL\""
            [ -z "$ALLOW_PLAIN_HTTP" ] || echo "allow_plain_http = true"
            [ -z "$TLS" ] || echo 'tls = "auto"'
        } >"$toml"
        chown homeport:homeport "$toml"
    fi
    point_at "$RELEASE"
    set_up homeport-controller
    remove_old_releases
    cat <<END

The controller is installed: settings in $toml, data in $CONTROLLER_DATA.
  eval "\$(sudo homeport env)"                points AWS's tools at it
What another machine joins with, and how:
  sudo homeport token create
  ./deploy/install.sh agent --token TOKEN
END
}

agent() {
    install_program
    step "Container engine"
    apt_install iptables # the agent redirects tasks' calls for credentials and metadata with it
    if systemd_runs; then
        ensure_engine "$RELEASE" /var/log/dockerd.log
    else
        command -v dockerd >/dev/null || apt_install docker.io
    fi
    step "Agent"
    agent_settings
    point_at "$RELEASE"
    set_up homeport-agent
    remove_old_releases
    ! systemd_runs || wait_until_registered
}

# agent_settings: agent.env from the file that was named, from this script's environment or from the controller
# of this machine; one that is there stays otherwise.
agent_settings() {
    local from_environment local_settings
    from_environment=$(env | grep -E '^(ECS|AWS|HOMEPORT)_|^DOCKER_HOST=|^(HTTPS?|NO)_PROXY=' |
        grep -vE '^(AWS_(CA_BUNDLE|PROFILE|ENDPOINT_URL)|HOMEPORT_(INSTALL|SOURCE)=)' || true)
    if [ -n "$CONFIG" ]; then
        if [ "$CONFIG" = - ]; then write_settings agent.env; else write_settings agent.env <"$CONFIG"; fi
        note "its settings are $SETTINGS/agent.env, from ${CONFIG/#-/standard input}"
    elif [ -n "${HOMEPORT_JOIN_TOKEN:-}" ]; then
        settings_to_join "$SETTINGS/agent.env" <<<"$from_environment" | write_settings agent.env
        note "its settings are $SETTINGS/agent.env, with the token to join with"
    elif [ -n "${AWS_ACCESS_KEY_ID:-}" ] && [ -n "${ECS_BACKEND_HOST:-}" ]; then
        write_settings agent.env <<<"$from_environment"
        note "its settings are $SETTINGS/agent.env, from this script's environment"
    elif [ -f "$SETTINGS/agent.env" ]; then
        note "its settings stay: $SETTINGS/agent.env"
    elif [ -f "$CONTROLLER_DATA/client.json" ]; then
        local_settings=$("$RELEASE/bin/homeport" agent-config --agent homeport --data-dir "$CONTROLLER_DATA") ||
            fail "the controller of this machine gives no settings" "look at: journalctl -u homeport-controller"
        write_settings agent.env <<<"$local_settings"
        note "its settings are $SETTINGS/agent.env, from the controller of this machine"
    else
        fail "the agent has no settings" \
            "on the controller: homeport token create; here: --token with what that prints"
    fi
}

wait_until_registered() {
    local deadline=$((SECONDS + 60)) address
    address=$(sed -n 's/^HOMEPORT_INTROSPECTION_LISTEN=//p' "$SETTINGS/agent.env")
    until "$RELEASE/bin/python" - "http://${address:-127.0.0.1:51678}/v1/metadata" 2>/dev/null <<'PYTHON'
import json, sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=5) as answer:
    arn = json.load(answer)["ContainerInstanceArn"]
sys.exit(not arn)
PYTHON
    do
        systemctl --quiet is-active homeport-agent ||
            { service_log homeport-agent; fail "homeport-agent ended" "look at: journalctl -u homeport-agent"; }
        [ "$SECONDS" -lt "$deadline" ] || {
            service_log homeport-agent
            fail "the agent does not get hold of its controller" "is ECS_BACKEND_HOST in $SETTINGS/agent.env right?"
        }
        sleep 0.5
    done
    note "this machine is a container instance"
}

upgrade() {
    local before service
    before=$(current_release)
    [ -n "$before" ] || fail "Homeport is not installed here" "install it: ./deploy/install.sh controller, or agent"
    install_program
    if [ "$RELEASE" = "$before" ]; then
        note "this is the program that runs already"
        return 0
    fi
    step "Services"
    point_at "$RELEASE"
    for service in "${SERVICES[@]}"; do
        installed "$service" || continue
        install -m 644 "deploy/systemd/$service.service" "$UNITS/$service.service"
        systemd_runs || continue
        systemctl daemon-reload
        restart "$service" || { service_log "$service"; take_back "$before" "$service"; }
        note "$service runs the new program"
    done
    remove_old_releases
}

# take_back RELEASE SERVICE: after an upgrade with which a service does not start.
take_back() {
    local service
    point_at "$1"
    for service in "${SERVICES[@]}"; do
        ! installed "$service" || systemctl restart "$service" || true
    done
    rm -rf "$RELEASE"
    fail "$2 does not start with the new program; the one before runs again" "look at: journalctl -u $2"
}

uninstall() {
    local service
    step "Services"
    for service in homeport-agent homeport-controller; do
        installed "$service" || continue
        if systemd_runs; then systemctl disable --quiet --now "$service"; else systemctl disable --quiet "$service"; fi
        rm -f "$UNITS/$service.service"
        note "$service is removed"
    done
    ! systemd_runs || systemctl daemon-reload
    if [ -x "$PREFIX/current/bin/python" ]; then
        "$PREFIX/current/bin/python" -m agent.endpoints.release || note "going on all the same"
    fi
    step "Program"
    rm -rf "$PREFIX" /usr/local/bin/homeport
    if [ -n "$PURGE" ]; then
        step "Data and settings"
        rm -rf "$CONTROLLER_DATA" "$AGENT_DATA" "$SETTINGS"
        userdel homeport 2>/dev/null || true
    fi
    echo
    echo "Homeport is removed; containers go on running. Those of its tasks:"
    echo "  docker ps --filter label=com.amazonaws.ecs.task-arn"
    [ -n "$PURGE" ] ||
        echo "Data and settings stay in $CONTROLLER_DATA, $AGENT_DATA and $SETTINGS; --purge removes them."
}

trap 'explain_end $?' EXIT
"$ACTION"
