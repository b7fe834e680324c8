"""The Docker Engine under test: making sure that one answers, images without a registry, and what tests own.

Everything that a test creates carries the label `homeport.test=<SESSION_ID>`; everything that an agent makes
for a test belongs to a cluster whose name contains `SESSION_ID` (fixture `cluster_name`). Nothing else is
touched.
"""

import io
import os
import shutil
import subprocess
import tarfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import docker
import docker.errors
import requests.exceptions

SESSION_ID = uuid.uuid4().hex[:8]
CGROUPS = Path("/sys/fs/cgroup")
TEST_LABEL = "homeport.test"
TEST_LABELS = {TEST_LABEL: SESSION_ID}
IMAGE = f"homeport-test/busybox:{SESSION_ID}"
_OWN_PREFIXES = ("homeport.", "com.amazonaws.ecs.")
_CLUSTER_LABEL = "com.amazonaws.ecs.cluster"
_TASK_ARN_LABEL = "com.amazonaws.ecs.task-arn"
_ENGINE_START_S = 60.0
_BUSYBOX = Path("/bin/busybox")


def engine_answers() -> bool:
    """Whether a Docker Engine answers at the usual place."""
    try:
        with client() as connection:
            return bool(connection.ping())
    except (docker.errors.DockerException, requests.exceptions.RequestException):
        return False


@contextmanager
def client() -> Iterator[docker.DockerClient]:
    """A connection to the engine that is closed, sockets and all, at the end."""
    connection = docker.from_env()
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def running_engine(log: Path) -> Iterator[None]:
    """Make sure that an engine answers; if none does, start one and stop it at the end."""
    if engine_answers():
        yield
        return
    dockerd = shutil.which("dockerd", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if dockerd is None or os.geteuid() != 0:
        raise RuntimeError(
            "no Docker Engine answers and none can be started here; ./tests/run.sh sets one up"
        )
    with log.open("wb") as output:
        process = subprocess.Popen(
            [dockerd], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        deadline = time.monotonic() + _ENGINE_START_S
        while not engine_answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"dockerd did not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def make_busybox_image(
    connection: docker.DockerClient, reference: str = IMAGE, *, ballast: bytes = b""
) -> str:
    """Import an image with a static busybox, its applets and a small web page; returns its reference.

    Its command sleeps for an hour. `httpd -f -p 80 -h /www` serves the page. `ballast` makes a layer that no
    other image has.
    """
    repository, _, tag = reference.rpartition(":")
    connection.api.import_image_from_data(
        _busybox_archive(ballast),
        repository=repository,
        tag=tag,
        changes=['CMD ["/bin/sleep","3600"]', f"LABEL {TEST_LABEL}={SESSION_ID}"],
    )
    return reference


def _busybox_archive(ballast: bytes) -> bytes:
    applets = subprocess.run([_BUSYBOX, "--list"], capture_output=True, text=True, check=True, timeout=10)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder in ("bin", "etc", "tmp", "www"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            archive.addfile(entry)
        _add_file(archive, "bin/busybox", _BUSYBOX.read_bytes(), mode=0o755)
        _add_file(archive, "etc/ballast", ballast)
        _add_file(archive, "etc/passwd", b"root:x:0:0:root:/:/bin/sh\n")
        _add_file(archive, "etc/group", b"root:x:0:\n")
        _add_file(archive, "www/index.html", b"hello from homeport\n")
        for applet in applets.stdout.split():
            if applet != "busybox":
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(link)
    return buffer.getvalue()


def _add_file(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))


def task_cgroups(task_id: str) -> list[Path]:
    """The cgroups of a task in all hierarchies."""
    return sorted((*CGROUPS.glob(f"*/ecs/{task_id}"), *CGROUPS.glob(f"ecs/{task_id}")))


def remove_task_cgroups(labels: Mapping[str, str]) -> None:
    """Remove the cgroups of the task whose container carried these labels; the kernel keeps those in use.

    Agents of tests end before they tidy up.
    """
    for place in task_cgroups(labels.get(_TASK_ARN_LABEL, "no task").rpartition("/")[2]):
        with suppress(OSError):
            place.rmdir()


def labelled_objects(connection: docker.DockerClient) -> dict[str, Mapping[str, str]]:
    """Containers, networks and volumes with a label of these tests or of ECS: "kind name id" to labels."""
    found: dict[str, Mapping[str, str]] = {}
    for container in connection.api.containers(all=True):
        found[f"container {container['Names'][0].lstrip('/')} {container['Id']}"] = container["Labels"] or {}
    for network in connection.api.networks():
        found[f"network {network['Name']} {network['Id']}"] = network["Labels"] or {}
    for volume in connection.api.volumes()["Volumes"] or ():
        found[f"volume {volume['Name']} {volume['Name']}"] = volume["Labels"] or {}
    return {name: labels for name, labels in found.items() if _counts(labels)}


def _counts(labels: Mapping[str, str]) -> bool:
    if made_here(labels):
        return True
    # Where others use the same engine at the same time, only what this session made can be called its leak.
    return "HOMEPORT_TEST_SHARED_ENGINE" not in os.environ and any(
        label.startswith(_OWN_PREFIXES) for label in labels
    )


def made_here(labels: Mapping[str, str]) -> bool:
    """Whether these are labels of something that this test session created, itself or through an agent."""
    return labels.get(TEST_LABEL) == SESSION_ID or SESSION_ID in labels.get(_CLUSTER_LABEL, "")


def remove_objects(connection: docker.DockerClient, names: Mapping[str, Mapping[str, str]]) -> None:
    """Remove those of the objects (keys as `labelled_objects` gives them) that this session made."""
    removal_order = ("container", "network", "volume")
    for name in sorted(names, key=lambda name: removal_order.index(name.split()[0])):
        if not made_here(names[name]):
            continue
        kind, _, identity = name.split()
        try:
            if kind == "container":
                connection.api.remove_container(identity, force=True, v=True)
                remove_task_cgroups(names[name])
            elif kind == "network":
                connection.api.remove_network(identity)
            else:
                connection.api.remove_volume(identity)
        except docker.errors.NotFound:
            continue  # gone in the meantime, which is what was wanted
