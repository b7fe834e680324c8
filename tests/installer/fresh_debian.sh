#!/usr/bin/env bash
# install.sh on a fresh Debian under its own systemd: installs, runs tasks, is killed, hung, upgraded, upgraded to
# something broken, removed and installed again as user data does. The tasks must go on all the while.
#
#   ./tests/installer/fresh_debian.sh          as root, with debootstrap and a Docker Engine; about four minutes
#
# The machine is a root made by debootstrap, booted in namespaces of its own; it shares the network and the Docker
# Engine with this one. Not part of ./tests/run.sh, for the time that it takes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=deploy/lib/say.sh
. deploy/lib/say.sh

MIRROR=${1:-$(awk '/^URIs:/ { print $2; exit } /^deb / { print $2; exit }' \
    /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null || true)}
LAB=$(mktemp -d -p /var/tmp)
ROOT=$LAB/root
FAMILY=fresh-debian-$$
IMAGE=homeport-test/fresh-debian:$$
PORTS=()
BOOT=""

ended() {
    local status=$?
    explain_end "$status"
    [ "$status" -eq 0 ] || show_end "$LAB/boot.log"
    [ "$status" -eq 0 ] || inside journalctl --no-pager -o cat -n 30 -u 'homeport-*' >&2 || true
    # With the first process of its namespace every other one goes.
    [ -z "$BOOT" ] || pkill -KILL -P "$BOOT" || true
    containers -a | xargs -r docker rm -f >/dev/null
    docker rmi -f "$IMAGE" >/dev/null 2>&1 || true
    sleep 1
    rm -rf "$LAB"
    exit "$status"
}
trap ended EXIT

# inside COMMAND…: run it on the lab machine.
inside() {
    local init
    init=$(pgrep -P "$BOOT" | head -n 1)
    nsenter -t "$init" -m -p -u -i env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        HOME=/root TERM=dumb "${PIP_SETTINGS[@]}" "$@"
}

# ecs OPERATION MEMBERS: call the lab's controller; prints the answer as JSON.
ecs() {
    inside /opt/homeport/current/bin/python -c '
import json, sys
from pathlib import Path
from controller.cli.client import Client
from controller.cli.profile import load_profile
client = Client(load_profile(Path("/var/lib/homeport")))
print(json.dumps(client.ecs(sys.argv[1], **json.loads(sys.argv[2])), default=str))' "$@"
}

# containers OPTIONS…: ids of the containers of the lab's tasks.
containers() {
    docker ps -q "$@" --no-trunc --filter "label=com.amazonaws.ecs.task-definition-family=$FAMILY" | sort
}

# eventually WHAT COMMAND…: wait until the command succeeds.
eventually() {
    local what=$1 deadline=$((SECONDS + 60))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || fail "not within a minute: $what"
        sleep 0.3
    done
    note "$what"
}

is() {
    [ "$(eval "$1")" = "$2" ]
}

# undisturbed: the very containers of the beginning run, and the controller sees two tasks RUNNING.
undisturbed() {
    [ "$(containers)" = "$BEFORE" ] || fail "the containers are others than before" "before: $BEFORE"
    eventually "both tasks are RUNNING, in the containers of before" is "running_tasks" 2
}

running_tasks() {
    ecs DescribeServices '{"services": ["web"]}' |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["services"][0]["runningCount"])'
}

# signal NAME: send it to both programs.
signal() {
    local service
    for service in homeport-agent homeport-controller; do
        inside systemctl kill --kill-who=main --signal="$1" "$service"
    done
}

step "A fresh Debian"
debootstrap --variant=minbase --include=systemd-sysv,dbus,ca-certificates bookworm "$ROOT" "$MIRROR" \
    >"$LAB/log" 2>&1 || { show_end "$LAB/log"; fail "debootstrap failed"; }
cp -a /etc/ssl/certs/. "$ROOT/etc/ssl/certs/"
cp -L /etc/resolv.conf /etc/hosts "$ROOT/etc/"
mapfile -t PIP_SETTINGS < <(env | grep -E '^(PIP_|SSL_CERT_|HTTPS?_PROXY=|NO_PROXY=)' || true)
mkdir "$ROOT/root/homeport"
git ls-files -z --cached --others --exclude-standard agent controller deploy LICENSE README.md pyproject.toml |
    xargs -0 tar -cf - | tar -xf - -C "$ROOT/root/homeport"
tar -czf "$ROOT/root/homeport.tar.gz" -C "$ROOT/root" homeport

step "Its systemd"
setsid unshare --mount --pid --uts --ipc --fork --propagation private \
    bash tests/installer/boot.sh "$ROOT" >"$LAB/boot.log" 2>&1 </dev/null &
BOOT=$!
eventually "it runs" is "inside systemctl is-system-running" running

step "Installing the controller and the agent"
for _ in 1 2 3 4; do
    PORTS+=("$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')")
done
inside /root/homeport/deploy/install.sh controller --listen "127.0.0.1:${PORTS[0]}"
{
    inside homeport agent-config --agent homeport
    echo "HOMEPORT_INTROSPECTION_LISTEN=127.0.0.1:${PORTS[1]}"
    echo "HOMEPORT_CREDENTIALS_LISTEN=127.0.0.1:${PORTS[2]}"
    echo "HOMEPORT_METRICS_LISTEN=127.0.0.1:${PORTS[3]}"
    echo "HOMEPORT_TASK_ADDRESS=off"
} >"$LAB/agent.env"
inside /root/homeport/deploy/install.sh agent --config - <"$LAB/agent.env"

step "Two tasks"
mkdir -p "$LAB/image/bin"
cp /bin/busybox "$LAB/image/bin/"
ln -s busybox "$LAB/image/bin/sh"
tar -C "$LAB/image" -c . | docker import -c 'CMD ["/bin/sh", "-c", "trap exit TERM; while :; do sleep 1; done"]' \
    - "$IMAGE" >/dev/null
ecs RegisterTaskDefinition "{\"family\": \"$FAMILY\", \"containerDefinitions\":
    [{\"name\": \"c\", \"image\": \"$IMAGE\", \"memory\": 16, \"essential\": true}]}" >/dev/null
ecs CreateService "{\"serviceName\": \"web\", \"taskDefinition\": \"$FAMILY\", \"desiredCount\": 2}" >/dev/null
eventually "both run" is "running_tasks" 2
BEFORE=$(containers)

step "Both programs are killed"
signal KILL
eventually "systemd starts them again" is "inside systemctl is-active homeport-agent homeport-controller | uniq" active
undisturbed

step "Both programs hang"
signal STOP
for service in homeport-agent homeport-controller; do
    eventually "the watchdog of $service has it started again" is "inside systemctl show -p NRestarts --value $service" 2
done
undisturbed

step "An upgrade"
sed -i 's/^__version__ = .*/__version__ = "99.0"/' "$ROOT/root/homeport/agent/__init__.py"
inside /root/homeport/deploy/install.sh upgrade
is "inside homeport --version" "homeport, version 99.0" || fail "the program is not the new one"
undisturbed

step "An upgrade to something broken"
echo 'raise SystemExit("broken")' >"$ROOT/root/homeport/agent/app.py"
! inside /root/homeport/deploy/install.sh upgrade >"$LAB/log" 2>&1 || fail "it was not noticed"
grep -q "the one before runs again" "$LAB/log" || { show_end "$LAB/log"; fail "it was not taken back"; }
undisturbed

step "Removed, and installed again as user data"
inside /root/homeport/deploy/install.sh uninstall
[ "$(containers)" = "$BEFORE" ] || fail "removing disturbed the containers"
for words in "controller --listen 127.0.0.1:${PORTS[0]}" agent; do
    {
        echo "#!/usr/bin/env bash"
        echo "export HOMEPORT_INSTALL='$words' HOMEPORT_SOURCE=/root/homeport.tar.gz"
        cat deploy/install.sh
    } >"$ROOT/root/part-001"
    inside bash /root/part-001
done
undisturbed

step "Removed with everything"
ecs DeleteService '{"service": "web", "force": true}' >/dev/null
eventually "the tasks have ended" is "containers" ""
inside /root/homeport/deploy/install.sh uninstall --purge
for left in opt/homeport etc/homeport var/lib/homeport var/lib/homeport-agent usr/local/bin/homeport; do
    if [ -e "$ROOT/$left" ] || [ -L "$ROOT/$left" ]; then fail "/$left is left"; fi
done
echo
echo "install.sh does what it says."
