"""The sample web service of quickstart.sh: its image, its deployment, and its removal.

Talks to the controller as any client does. What it prints goes below the step that quickstart.sh announced.
"""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import docker.errors

from controller.cli.client import ApiError, Client
from controller.cli.errors import CommandFailed
from controller.cli.output import short
from controller.cli.profile import load_profile

CLUSTER = "default"
SERVICE = "quickstart"
FAMILY = "quickstart"
IMAGE = "homeport/quickstart:1"
IMAGE_LABEL = "homeport.quickstart"
AGENT_LABEL = "homeport.agent"
BUSYBOX = Path("/bin/busybox")
PAGE = b"<!doctype html><title>Homeport</title><h1>Hello from Homeport</h1>\n"
# As the first process of a container, a shell without a trap would sit out its stop timeout.
SERVE = "trap 'kill $!; exit 0' TERM; httpd -f -p 80 -h /www & wait"
CONTAINER = {
    "name": "web",
    "image": IMAGE,
    "cpu": 64,
    "memory": 32,
    "essential": True,
    "portMappings": [{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}],
}
INSTANCE_PATIENCE_S = 60.0
SERVICE_PATIENCE_S = 120.0
PURGE_PATIENCE_S = 60.0
CONFLICT = 409


def image() -> None:
    """Build the image without a registry: a static busybox, a page, and a command that serves it."""
    connection = docker.from_env()
    try:
        if _has_image(connection):
            note(f"{IMAGE} is there already")
            return
        repository, _, tag = IMAGE.partition(":")
        connection.api.import_image_from_data(
            _archive(),
            repository=repository,
            tag=tag,
            changes=[f'CMD ["/bin/sh", "-c", "{SERVE}"]', f"LABEL {IMAGE_LABEL}=yes", "EXPOSE 80"],
        )
        note(f"{IMAGE} is built")
    finally:
        connection.close()


def _has_image(connection: docker.DockerClient) -> bool:
    try:
        connection.images.get(IMAGE)
    except docker.errors.ImageNotFound:
        return False
    return True


def _archive() -> bytes:
    listing = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content, mode in (
            ("bin/busybox", BUSYBOX.read_bytes(), 0o755),
            ("etc/passwd", b"root:x:0:0:root:/:/bin/sh\n", 0o644),
            ("www/index.html", PAGE, 0o644),
        ):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
        for applet in set(listing.stdout.split()) - {"busybox"}:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
    return buffer.getvalue()


def join(client: Client) -> None:
    """Wait until a container instance has joined the cluster and its agent is connected."""

    def connected() -> bool:
        arns = list(client.list_all("ListContainerInstances", "containerInstanceArns", cluster=CLUSTER))
        found = client.describe_all(
            *("DescribeContainerInstances", "containerInstances", "containerInstances", arns, 100),
            cluster=CLUSTER,
        )
        return any(instance["agentConnected"] for instance in found)

    if not until(connected, INSTANCE_PATIENCE_S):
        raise CommandFailed(f"no agent joined the cluster {CLUSTER} within {INSTANCE_PATIENCE_S:g} s")
    note("this machine is a container instance of the cluster " + CLUSTER)


def deploy(client: Client) -> None:
    """Create the service unless it is there; exits with 10 if it was, so that nobody takes it for new."""
    found = client.ecs("DescribeServices", cluster=CLUSTER, services=[SERVICE])["services"]
    if any(service["status"] == "ACTIVE" for service in found):
        note(f"the service {SERVICE} is there already, and is left as it is")
        sys.exit(10)
    task_definition = _registered(client)
    client.ecs(
        "CreateService",
        cluster=CLUSTER,
        serviceName=SERVICE,
        taskDefinition=task_definition,
        desiredCount=2,
    )
    note(f"the service {SERVICE} is created: two tasks of {task_definition}")


def _registered(client: Client) -> str:
    try:
        known = client.ecs("DescribeTaskDefinition", taskDefinition=FAMILY)["taskDefinition"]
        if known["containerDefinitions"][0]["image"] == IMAGE:
            return short(known["taskDefinitionArn"])
    except ApiError as error:
        if error.code not in ("ClientException", "InvalidParameterException"):
            raise
    answer = client.ecs("RegisterTaskDefinition", family=FAMILY, containerDefinitions=[CONTAINER])
    return short(answer["taskDefinition"]["taskDefinitionArn"])


def wait(client: Client) -> None:
    """Wait until as many tasks as the service wants answer over HTTP; print where."""
    seen = ""

    def answering() -> list[str]:
        nonlocal seen
        wanted = _service(client)["desiredCount"]
        addresses = [address for address in _addresses(client) if _answers(address)]
        progress = f"{len(addresses)} of {wanted} tasks answer over HTTP"
        if progress != seen:
            note(progress)
        seen = progress
        return addresses if len(addresses) >= wanted else []

    if _service(client)["desiredCount"] == 0:
        note(f"the service {SERVICE} is scaled to 0")
        return
    addresses = until(answering, SERVICE_PATIENCE_S)
    if not addresses:
        _tell_why(client)
        raise CommandFailed(f"the tasks do not answer after {SERVICE_PATIENCE_S:g} s")
    for address in addresses:
        note(address)


def _service(client: Client) -> dict[str, Any]:
    service: dict[str, Any] = client.ecs("DescribeServices", cluster=CLUSTER, services=[SERVICE])["services"][
        0
    ]
    return service


def _tasks(client: Client, desired_status: str) -> list[dict[str, Any]]:
    arns = client.list_all(
        "ListTasks", "taskArns", cluster=CLUSTER, serviceName=SERVICE, desiredStatus=desired_status
    )
    return client.describe_all("DescribeTasks", "tasks", "tasks", list(arns), 100, cluster=CLUSTER)


def _addresses(client: Client) -> list[str]:
    return [
        f"http://127.0.0.1:{binding['hostPort']}/"
        for task in _tasks(client, "RUNNING")
        for container in task["containers"]
        for binding in container.get("networkBindings", ())
        if task["lastStatus"] == "RUNNING"
    ]


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:
            return bool(answer.read() == PAGE)
    except OSError:
        return False


def _tell_why(client: Client) -> None:
    for event in _service(client)["events"][:5]:
        note(f"service event: {event['message']}")
    for task in _tasks(client, "STOPPED")[:5]:
        reasons = [str(container["reason"]) for container in task["containers"] if container.get("reason")]
        note(f"task {short(task['taskArn'])}: {'; '.join([task.get('stoppedReason', '-'), *reasons])}")


def remove(client: Client) -> None:
    """Delete the sample service and wait until its tasks have stopped."""
    client.ecs("DeleteService", cluster=CLUSTER, service=SERVICE, force=True)
    if not until(lambda: not _tasks(client, "RUNNING"), PURGE_PATIENCE_S):
        raise CommandFailed(f"the tasks of {SERVICE} did not stop within {PURGE_PATIENCE_S:g} s")


def stop_everything(client: Client) -> None:
    """Delete every service of this controller and stop every task."""
    for cluster in client.list_all("ListClusters", "clusterArns"):
        for service in client.list_all("ListServices", "serviceArns", cluster=cluster):
            client.ecs("DeleteService", cluster=cluster, service=service, force=True)
        for task in client.list_all("ListTasks", "taskArns", cluster=cluster, desiredStatus="RUNNING"):
            client.ecs("StopTask", cluster=cluster, task=task, reason="quickstart.sh --stop --purge")
        note(f"cluster {short(cluster)}: services deleted, tasks told to stop")


def forget(data_dir: Path) -> None:
    """Remove from the engine what this data directory's agent made, and the sample's image."""
    connection = docker.from_env()
    try:
        # The agent labels what it makes with a fingerprint of its data directory.
        owner = hashlib.sha256(os.fsencode(data_dir / "agent")).hexdigest()[:16]
        label = f"{AGENT_LABEL}={owner}"
        containers = connection.containers.list(all=True, filters={"label": label})
        for container in containers:
            container.remove(force=True, v=True)
        for volume in connection.volumes.list(filters={"label": label}):
            volume.remove()
        note(f"{len(containers)} containers removed")
        _forget_image(connection)
    finally:
        connection.close()


def _forget_image(connection: docker.DockerClient) -> None:
    if not _has_image(connection):
        return
    try:
        connection.images.remove(IMAGE)
    except docker.errors.APIError as error:
        if error.status_code != CONFLICT:
            raise
        note(f"{IMAGE} stays: containers of another Homeport use it")


def until(condition: Callable[[], Any], patience_s: float) -> Any:
    """The first true value of `condition`, or its last one after `patience_s` seconds."""
    deadline = time.monotonic() + patience_s
    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(0.2)


def note(text: str) -> None:
    print(f"      {text}", flush=True)


def main(action: str, data_dir: Path) -> None:
    """Run one action; a failure is told in one sentence."""
    with_client = {
        "join": join,
        "deploy": deploy,
        "wait": wait,
        "remove": remove,
        "stop-everything": stop_everything,
    }
    try:
        if action == "image":
            image()
        elif action == "forget":
            forget(data_dir)
        else:
            with_client[action](Client(load_profile(data_dir)))
    except CommandFailed as failure:
        note(failure.message)
        sys.exit(1)
    except docker.errors.DockerException as failure:
        note(f"the Docker Engine says: {failure}")
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
