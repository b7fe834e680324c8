"""Namespaces that the containers of a task share, on the real engine."""

import asyncio
import json
import urllib.request
from pathlib import Path

import docker
import pytest

from agent.engine.namespaces import PAUSE_NAME
from agent.protocol import acs
from tests.integration.engine.harness import Harness

SERVE = "trap 'exit 0' TERM; httpd -p 8080 -h /www; while :; do sleep 0.05; done"
WAIT = "while :; do sleep 0.05; done"
CLIENT = (
    "trap 'exit 0' TERM; until wget -q -O /tmp/page http://127.0.0.1:8080/; do sleep 0.05; done; "
    f"cat /tmp/page /proc/sys/net/core/somaxconn; cat /etc/resolv.conf; {WAIT}"
)


def docker_config(config: object = None, host_config: object = None) -> acs.DockerConfig:
    """The two documents as a payload carries them."""
    return acs.DockerConfig(config=json.dumps(config or {}), host_config=json.dumps(host_config or {}))


async def fetch(url: str) -> str:
    """What a web server answers, without the event loop standing still."""

    def read() -> str:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())

    return await asyncio.to_thread(read)


async def test_containers_of_an_awsvpc_task_meet_on_localhost_at_an_address_of_their_own(
    harness: Harness,
) -> None:
    port = acs.PortMapping(container_port=8080, host_port=8080, protocol="tcp")
    task = await harness.run(
        harness.shell(
            SERVE,
            name="web",
            port_mappings=(port,),
            docker_config=docker_config({}, {"Sysctls": {"net.core.somaxconn": "777"}}),
        ),
        harness.shell(
            CLIENT,
            name="sidecar",
            docker_config=docker_config({"Hostname": "of-the-task"}, {"DnsSearch": ["example.test"]}),
        ),
        network_mode="awsvpc",
    )
    report = await harness.reported(task, "RUNNING")

    assert report.network_interface is not None
    address = report.network_interface.private_ipv4_address
    assert await fetch(f"http://{address}:8080/") == "hello from homeport\n"
    output = await harness.eventually(
        lambda: "nameserver" in (text := harness.output(task, "sidecar")) and text, "the sidecar has the page"
    )
    assert "hello from homeport" in output
    assert "example.test" in output, "what one says about names holds for the task"
    assert "777" in output, "and what one says about the network"
    assert [container.name for container in report.containers] == ["web", "sidecar"]
    assert all(container.network_bindings == () for container in report.containers)
    pause = harness.inspect(task, PAUSE_NAME)
    assert pause["Config"]["Hostname"] == "of-the-task"
    assert pause["NetworkSettings"]["Networks"]["bridge"]["IPAddress"] == address
    assert (
        report.network_interface.mac_address == pause["NetworkSettings"]["Networks"]["bridge"]["MacAddress"]
    )


async def test_the_pause_container_outlives_the_others_and_is_removed_with_them(
    idle_harness: Harness, docker_client: docker.DockerClient
) -> None:
    harness = idle_harness
    await harness.start(task_cleanup_wait_s=1.0)
    task = await harness.run(harness.container(), network_mode="awsvpc")
    pause = harness.docker_name(task, PAUSE_NAME)
    started = docker_client.api.inspect_container(pause)["State"]["StartedAt"]
    web = harness.inspect(task)
    assert web["Created"] > started

    await harness.engine.stop_tasks((task.arn or "",))
    await harness.reported(task, "STOPPED")

    assert {container.name for report in harness.reports for container in report.containers} == {"web"}
    ended = [s.finished_at or 0.0 for s in harness.record(task).state.containers]
    assert ended[0] < ended[1], "the pause container ends last"
    await harness.eventually(lambda: not harness.containers_of(task), "every container removed")
    await harness.stop()


async def test_an_awsvpc_task_survives_a_restart_of_the_agent_and_a_lost_checkpoint(harness: Harness) -> None:
    task = await harness.run(harness.container(), network_mode="awsvpc")
    before = (await harness.reported(task, "RUNNING")).network_interface
    ids = sorted(harness.containers_of(task))
    await harness.stop()

    await harness.start()
    assert sorted(harness.containers_of(task)) == ids
    await harness.stop()

    (harness.data_dir / "agent.db").write_bytes(b"damaged" * 1000)
    harness.reports.clear()
    await harness.start()
    report = await harness.reported(task, "RUNNING")
    assert report.network_interface == before
    assert [container.name for container in report.containers] == ["web"]
    await harness.engine.stop_tasks((task.arn or "",))
    await harness.reported(task, "STOPPED")


async def test_a_task_whose_pause_container_dies_stops(
    harness: Harness, docker_client: docker.DockerClient
) -> None:
    task = await harness.run(harness.container(), network_mode="awsvpc")

    docker_client.api.kill(harness.docker_name(task, PAUSE_NAME), "SIGKILL")

    report = await harness.reported(task, "STOPPED")
    assert report.reason == "Essential container in task exited"


async def test_the_pause_image_is_made_again_when_somebody_has_removed_it(
    harness: Harness, docker_client: docker.DockerClient
) -> None:
    task = harness.task(network_mode="awsvpc")
    await harness.engine.accept((task,))
    reference = harness.record(task).container(PAUSE_NAME).image or ""
    await harness.reported(task, "RUNNING")
    alias = f"homeport-test/pause:{harness.cluster}"
    docker_client.api.tag(reference, "homeport-test/pause", harness.cluster)
    docker_client.api.remove_image(reference, force=True)

    try:
        again = await harness.run(harness.container(), network_mode="awsvpc")
        assert harness.inspect(again, PAUSE_NAME)["Config"]["Image"] == reference
    finally:
        docker_client.api.remove_image(alias, force=True)


@pytest.mark.parametrize("mode", ["task", "host"])
async def test_pid_and_ipc_namespaces_are_shared_as_the_task_says(harness: Harness, mode: str) -> None:
    script = f"trap 'exit 0' TERM; readlink /proc/self/ns/pid; readlink /proc/self/ns/ipc; {WAIT}"
    task = await harness.run(
        harness.shell(script, name="web"),
        harness.shell(script, name="other"),
        pid_mode=mode,
        ipc_mode=mode,
        network_mode="none",
    )

    def told() -> list[list[str]]:
        lines = [harness.output(task, name).split() for name in ("web", "other")]
        return lines if all(len(each) == 2 for each in lines) else []

    namespaces = await harness.eventually(told, "both have told their namespaces")
    assert namespaces[0] == namespaces[1]
    here = [str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in ("pid", "ipc")]
    assert (namespaces[0] == here) == (mode == "host")


async def test_orphans_in_a_shared_pid_namespace_leave_no_zombies(harness: Harness) -> None:
    orphans = "for i in 1 2 3; do (sleep 0.1 &) ; done; sleep 0.5; "
    script = f"trap 'exit 0' TERM; {orphans} grep -l Z /proc/[0-9]*/stat; echo done; {WAIT}"
    task = await harness.run(harness.shell(script), pid_mode="task")

    output = await harness.eventually(
        lambda: "done" in (text := harness.output(task)) and text, "the orphans have ended"
    )
    assert "stat" not in output


async def test_without_an_ipc_namespace_there_is_no_shared_memory(harness: Harness) -> None:
    task = await harness.run(harness.container(), ipc_mode="none")

    assert harness.inspect(task)["HostConfig"]["IpcMode"] == "none"
