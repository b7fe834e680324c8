"""Logs through a log router (FireLens) on the real engine. The router's image is not to be had without a
registry: its container sleeps, and the test itself takes what comes through its socket.
"""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import docker
import pytest

from agent.protocol import acs
from tests.integration.engine.harness import Harness

OBEYS = "trap 'exit 0' TERM; while :; do sleep 0.05; done"


@pytest.fixture
async def harness(
    cluster_name: str, busybox_image: str, docker_client: docker.DockerClient
) -> AsyncIterator[Harness]:
    """A running engine in a data directory with a short path, as sockets want it."""
    directory = Path(tempfile.mkdtemp(prefix="hp-"))
    made = Harness(directory, cluster_name, busybox_image, docker_client)
    await made.start(task_cleanup_wait_s=1.0)
    try:
        yield made
    finally:
        await made.stop()
        made.remove_everything()
        shutil.rmtree(directory)


async def test_lines_arrive_at_the_routers_socket_under_the_tag_of_their_container(harness: Harness) -> None:
    log_config = {"LogConfig": {"Type": "awsfirelens", "Config": {"Name": "stdout"}}}
    task = harness.task(
        harness.shell(
            f"echo hello through the router; env | grep FLUENT; {OBEYS}",
            docker_config=acs.DockerConfig(host_config=json.dumps(log_config)),
        ),
        harness.shell(
            f"cat /fluent-bit/etc/fluent-bit.conf; {OBEYS}",
            name="router",
            firelens_configuration=acs.FirelensConfiguration(type="fluentbit"),
        ),
    )
    task_id = (task.arn or "").rpartition("/")[2]
    socket = harness.data_dir / "firelens" / task_id / "socket" / "fluent.sock"
    socket.parent.mkdir(parents=True)
    heard = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while received := await reader.read(4096):
            heard.extend(received)
        writer.close()

    async with await asyncio.start_unix_server(listen, socket):
        await harness.engine.accept((task,))
        await harness.reported(task, "RUNNING")
        await harness.eventually(lambda: b"FLUENT_PORT=24224" in heard, "the lines have come")
        await harness.engine.stop_tasks((task.arn or "",))
        await harness.reported(task, "STOPPED")

    assert b"hello through the router" in heard
    assert f"web-firelens-{task_id}".encode() in heard
    assert b"FLUENT_HOST=172." in heard or b"FLUENT_HOST=10." in heard or b"FLUENT_HOST=192." in heard
    web, router = harness.record(task).state.containers
    assert (router.started_at or 0.0) <= (web.created_at or 0.0)
    assert (web.finished_at or 0.0) <= (router.finished_at or 0.0)
    assert "unix_path /var/run/fluent.sock" in harness.output(task, "router")
    await harness.eventually(lambda: not socket.parent.parent.exists(), "the router's files are removed")
