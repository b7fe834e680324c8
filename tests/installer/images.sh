#!/usr/bin/env bash
# Builds the images of deploy/docker and has them run a task; both are then exchanged while it goes on.
#
#   ./tests/installer/images.sh BASE      as root; BASE is an image of Debian or of Python, such as
#                                         debootstrap --variant=minbase … and `docker import` make
#
# pip's own variables (PIP_INDEX_URL, PIP_CERT, …) are handed to the build. Takes two to three minutes, most of
# them for installing packages; so it is not part of ./tests/run.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=deploy/lib/say.sh
. deploy/lib/say.sh

BASE=${1:?which image to build on}
NAME=homeport-images-$$
LAB=$(mktemp -d -p /var/tmp)
TASK_IMAGE=homeport-test/images:$$

ended() {
    local status=$?
    explain_end "$status"
    for role in agent controller; do
        [ "$status" -eq 0 ] || docker logs --tail 20 "$NAME-$role" >&2 || true
        docker rm -fv "$NAME-$role" >/dev/null 2>&1 || true
        docker rmi -f "$NAME-$role" >/dev/null 2>&1 || true
    done
    tasks -a | xargs -r docker rm -f >/dev/null
    docker rmi -f "$TASK_IMAGE" >/dev/null 2>&1 || true
    rm -rf "$LAB"
}
trap ended EXIT

tasks() {
    docker ps -q "$@" --filter "label=com.amazonaws.ecs.task-definition-family=$NAME"
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# ecs OPERATION MEMBERS: call the controller from inside its own container.
ecs() {
    docker exec "$NAME-controller" python -c '
import json, sys
from pathlib import Path
from controller.cli.client import Client
from controller.cli.profile import load_profile
client = Client(load_profile(Path("/var/lib/homeport")))
print(json.dumps(client.ecs(sys.argv[1], **json.loads(sys.argv[2])), default=str))' "$@"
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

task_is_running() {
    docker exec "$NAME-controller" homeport ps --output json | grep -q '"lastStatus": "RUNNING"'
}

is_healthy() {
    [ "$(docker inspect -f '{{.State.Health.Status}}' "$NAME-$1")" = healthy ]
}

step "Building"
arguments=(--network host --build-arg "BASE=$BASE")
for variable in PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST PIP_CERT; do
    [ -z "${!variable:-}" ] || arguments+=(--build-arg "$variable=${!variable}")
done
for role in controller agent; do
    docker build "${arguments[@]}" -f deploy/docker/Dockerfile --target "$role" -t "$NAME-$role" . >"$LAB/log" 2>&1 ||
        { show_end "$LAB/log"; fail "the image of the $role cannot be built"; }
    note "the image of the $role is built"
done

step "Running"
endpoint=127.0.0.1:$(free_port)
docker run -d --name "$NAME-controller" --network host "$NAME-controller" --listen "$endpoint" >/dev/null
eventually "the controller is healthy" is_healthy controller
{
    docker exec "$NAME-controller" homeport agent-config --agent homeport
    for service in INTROSPECTION CREDENTIALS METRICS; do
        echo "HOMEPORT_${service}_LISTEN=127.0.0.1:$(free_port)"
    done
    echo "HOMEPORT_TASK_ADDRESS=off"
} >"$LAB/agent.env"
docker run -d --name "$NAME-agent" --network host --pid host \
    --cap-add NET_ADMIN --cap-add SYS_PTRACE --cap-add DAC_READ_SEARCH \
    -v /var/run/docker.sock:/var/run/docker.sock -v /sys/fs/cgroup:/sys/fs/cgroup \
    -v "$LAB/agent:/var/lib/homeport-agent" --env-file "$LAB/agent.env" "$NAME-agent" >/dev/null
mkdir -p "$LAB/image/bin"
cp /bin/busybox "$LAB/image/bin/"
tar -C "$LAB/image" -c . | docker import -c 'CMD ["/bin/busybox", "sleep", "3600"]' - "$TASK_IMAGE" >/dev/null
ecs RegisterTaskDefinition "{\"family\": \"$NAME\", \"networkMode\": \"none\", \"containerDefinitions\":
    [{\"name\": \"c\", \"image\": \"$TASK_IMAGE\", \"memory\": 16, \"essential\": true}]}" >/dev/null
ecs CreateService "{\"serviceName\": \"one\", \"taskDefinition\": \"$NAME\", \"desiredCount\": 1}" >/dev/null
eventually "a task runs" task_is_running
eventually "the agent is healthy" is_healthy agent
before=$(tasks)

step "Both are started again"
docker restart -t 20 "$NAME-agent" "$NAME-controller" >/dev/null
eventually "the controller is healthy" is_healthy controller
eventually "the task runs" task_is_running
[ "$(tasks)" = "$before" ] || fail "its container is another one"
echo
echo "The images do what they are for."
