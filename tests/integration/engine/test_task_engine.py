"""Tasks on a real Docker engine: what is started, what is reported, and what is left alone."""

import asyncio
import json
import urllib.request
from pathlib import Path

import pytest

from agent.protocol import acs
from agent.protocol.resources import Resources
from tests.integration.engine.harness import Harness
from tests.support.engine import TEST_LABELS
from tests.support.processes import free_port

pytestmark = pytest.mark.engine

MIB = 1024 * 1024


async def test_a_task_runs_is_reported_and_stops_when_told(harness: Harness) -> None:
    task = await harness.run()
    assert harness.inspect(task)["State"]["Running"]

    await harness.engine.stop_tasks([task.arn or ""])
    stopped = await harness.reported(task, "STOPPED")

    assert harness.statuses(task) == ["RUNNING", "STOPPED"]
    assert not harness.inspect(task)["State"]["Running"]
    assert stopped.reason == ""
    assert stopped.containers[0].exit_code == 0
    assert stopped.execution_stopped_at is not None


async def test_a_container_that_ignores_sigterm_is_killed_after_its_stop_timeout(harness: Harness) -> None:
    stubborn = harness.shell("trap '' TERM; while :; do sleep 0.1; done", stop_timeout=1)
    task = await harness.run(stubborn)
    await harness.engine.stop_tasks([task.arn or ""])

    assert (await harness.reported(task, "STOPPED")).containers[0].exit_code == 137


async def test_a_container_gets_the_stop_signal_that_it_asks_for(harness: Harness) -> None:
    config = acs.DockerConfig(config=json.dumps({"StopSignal": "SIGUSR1"}))
    task = await harness.run(
        harness.shell("trap 'exit 7' USR1; while :; do sleep 0.05; done", docker_config=config)
    )
    await harness.engine.stop_tasks([task.arn or ""])

    assert (await harness.reported(task, "STOPPED")).containers[0].exit_code == 7


async def test_an_exit_code_is_reported_and_a_short_life_was_a_life(harness: Harness) -> None:
    task = harness.task(harness.shell("exit 3"))
    await harness.engine.accept((task,))
    stopped = await harness.reported(task, "STOPPED")

    assert harness.statuses(task) == ["RUNNING", "STOPPED"]
    assert stopped.containers[0].exit_code == 3
    assert stopped.reason == "Essential container in task exited"


async def test_a_killed_container_is_seen_at_once_by_the_event_alone(harness: Harness) -> None:
    task = await harness.run()
    harness.client.api.kill(harness.docker_name(task))

    assert (await harness.reported(task, "STOPPED")).containers[0].exit_code == 137


async def test_the_end_of_one_essential_container_stops_the_others(harness: Harness) -> None:
    task = await harness.run(harness.container("web"), harness.container("sidecar"))
    harness.client.api.kill(harness.docker_name(task, "sidecar"))
    stopped = await harness.reported(task, "STOPPED")

    codes = {
        c.name: c.exit_code for change in harness.reports for c in change.containers if c.status == "STOPPED"
    }
    assert codes == {"sidecar": 137, "web": 0}
    assert stopped.reason == "Essential container in task exited"
    assert not harness.inspect(task, "web")["State"]["Running"]


async def test_containers_start_in_the_order_of_their_dependencies(harness: Harness) -> None:
    init = harness.shell("sleep 0.3; exit 0", "init", essential=False)
    wait = acs.ContainerDependency(container_name="init", condition="SUCCESS")
    task = await harness.run(harness.container("web", depends_on=(wait,)), init)

    ended = harness.inspect(task, "init")["State"]["FinishedAt"]
    assert ended < harness.inspect(task, "web")["State"]["StartedAt"]


async def test_a_dynamic_port_is_reported_and_answers(harness: Harness) -> None:
    mapping = acs.PortMapping(container_port=80, host_port=0, protocol="tcp")
    server = harness.container(
        command=("/bin/httpd", "-f", "-p", "80", "-h", "/www"), port_mappings=(mapping,)
    )
    task = harness.task(server)
    await harness.engine.accept((task,))
    binding = (await harness.reported(task, "RUNNING")).containers[0].network_bindings[0]

    assert (binding.bind_ip, binding.container_port, binding.protocol) == ("0.0.0.0", 80, "tcp")
    assert "hello" in await _get(binding.host_port)


async def test_a_dynamic_port_stays_within_the_range_of_the_setting(idle_harness: Harness) -> None:
    port = free_port()
    await idle_harness.start(dynamic_host_port_range=(port, port + 1))
    try:
        mapping = acs.PortMapping(container_port=80)
        first = await idle_harness.run(idle_harness.container(port_mappings=(mapping,)))
        ports = [c.network_bindings[0].host_port for r in idle_harness.reports for c in r.containers]
        assert idle_harness.statuses(first) == ["RUNNING"]
        assert ports[0] in (port, port + 1)
    finally:
        await idle_harness.stop()


async def test_a_fixed_port_is_bound_and_reported(harness: Harness) -> None:
    port = free_port()
    mapping = acs.PortMapping(container_port=80, host_port=port)
    server = harness.container(
        command=("/bin/httpd", "-f", "-p", "80", "-h", "/www"), port_mappings=(mapping,)
    )
    task = harness.task(server)
    await harness.engine.accept((task,))
    running = await harness.reported(task, "RUNNING")

    assert running.containers[0].network_bindings[0].host_port == port
    assert "hello" in await _get(port)


async def test_a_host_network_container_reports_its_own_ports(harness: Harness) -> None:
    mapping = acs.PortMapping(container_port=free_port())
    hosted = acs.DockerConfig(host_config=json.dumps({"NetworkMode": "host"}))
    task = harness.task(
        harness.container(port_mappings=(mapping,), docker_config=hosted), network_mode="host"
    )
    await harness.engine.accept((task,))
    binding = (await harness.reported(task, "RUNNING")).containers[0].network_bindings[0]

    assert binding.host_port == binding.container_port == mapping.container_port
    assert harness.inspect(task)["HostConfig"]["NetworkMode"] == "host"


async def test_a_container_without_network_runs(harness: Harness) -> None:
    isolated = acs.DockerConfig(host_config=json.dumps({"NetworkMode": "none"}))
    task = await harness.run(harness.container(docker_config=isolated), network_mode="none")

    assert harness.inspect(task)["HostConfig"]["NetworkMode"] == "none"


async def test_what_a_payload_says_about_a_container_reaches_the_engine(harness: Harness) -> None:
    config = {"User": "0", "WorkingDir": "/tmp", "Labels": {"color": "blue"}, "Hostname": "here"}
    host_config = {
        "MemoryReservation": 16 * MIB,
        "CapAdd": ["NET_ADMIN"],
        "Ulimits": [{"Name": "nofile", "Soft": 512, "Hard": 512}],
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
        "ReadonlyRootfs": True,
    }
    task = await harness.run(
        harness.container(
            cpu=128,
            memory=64,
            environment={"GREETING": "hello"},
            docker_config=acs.DockerConfig(config=json.dumps(config), host_config=json.dumps(host_config)),
        )
    )
    body = harness.inspect(task)

    assert "GREETING=hello" in body["Config"]["Env"]
    assert "AWS_REGION=us-east-1" in body["Config"]["Env"]
    assert body["Config"]["WorkingDir"] == "/tmp"
    assert body["Config"]["Labels"]["color"] == "blue"
    assert body["Config"]["Labels"]["com.amazonaws.ecs.task-arn"] == task.arn
    assert body["Config"]["Labels"]["com.amazonaws.ecs.container-name"] == "web"
    assert body["Config"]["Labels"]["com.amazonaws.ecs.task-definition-family"] == "app"
    assert body["HostConfig"]["Memory"] == 64 * MIB
    assert body["HostConfig"]["CpuShares"] == 128
    assert body["HostConfig"]["MemoryReservation"] == 16 * MIB
    assert body["HostConfig"]["CapAdd"] == ["NET_ADMIN"]
    assert body["HostConfig"]["LogConfig"]["Config"]["max-size"] == "1m"
    assert body["HostConfig"]["ReadonlyRootfs"] is True
    assert body["HostConfig"]["Ulimits"][0]["Soft"] == 512
    assert body["Name"].startswith(f"/ecs-app-{task.version}-web-")


async def test_bind_and_task_scoped_volumes_are_mounted_and_shared(harness: Harness, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("from the host\n")
    volumes = (
        acs.Volume(name="host", host=acs.HostVolumeProperties(source_path=str(tmp_path))),
        acs.Volume(name="scratch", host=acs.HostVolumeProperties()),
    )
    mounts = (
        acs.MountPoint(source_volume="host", container_path="/host", read_only=True),
        acs.MountPoint(source_volume="scratch", container_path="/scratch"),
    )
    writer = harness.shell(
        "cp /host/note /scratch/copy; touch /host/x 2>/dev/null || echo readonly; sleep 60",
        "writer",
        mount_points=mounts,
    )
    wait = acs.ContainerDependency(container_name="writer", condition="START")
    reader = harness.shell(
        "until cat /scratch/copy; do sleep 0.1; done; sleep 60",
        "reader",
        mount_points=mounts,
        depends_on=(wait,),
    )
    task = await harness.run(writer, reader, volumes=volumes)

    await harness.eventually(lambda: "from the host" in harness.output(task, "reader"), "the shared file")
    await harness.eventually(lambda: "readonly" in harness.output(task, "writer"), "the read-only mount")


async def test_a_task_scoped_docker_volume_goes_with_the_task_and_a_shared_one_stays(
    idle_harness: Harness,
) -> None:
    await idle_harness.start(task_cleanup_wait_s=0.0)
    client, shared_name = idle_harness.client, f"shared-{idle_harness.cluster}"
    labels = {"com.amazonaws.ecs.cluster": idle_harness.cluster}
    shared = acs.DockerVolumeConfiguration(scope="shared", autoprovision=True, driver="local", labels=labels)
    scoped = acs.DockerVolumeConfiguration(scope="task", driver="local")
    volumes = (
        acs.Volume(name=shared_name, type="docker", docker_volume_configuration=shared),
        acs.Volume(name="own", type="docker", docker_volume_configuration=scoped),
    )
    mounts = (
        acs.MountPoint(source_volume=shared_name, container_path="/shared"),
        acs.MountPoint(source_volume="own", container_path="/own"),
    )
    try:
        task = await idle_harness.run(idle_harness.container(mount_points=mounts), volumes=volumes)
        names = {mount["Name"] for mount in idle_harness.inspect(task)["Mounts"]}
        own = next(name for name in names if name.startswith(f"ecs-app-{task.version}-own-"))
        await idle_harness.engine.stop_tasks([task.arn or ""])
        await idle_harness.eventually(lambda: not idle_harness.engine.known_tasks(), "the task removed")

        left = {volume["Name"] for volume in client.api.volumes()["Volumes"] or ()}
        assert shared_name in left
        assert own not in left
        assert idle_harness.containers_of(task) == []
    finally:
        await idle_harness.stop()


async def test_links_let_one_container_find_the_other(harness: Harness) -> None:
    server = harness.container("db", command=("/bin/httpd", "-f", "-p", "80", "-h", "/www"))
    task = await harness.run(harness.container("web", links=("db:database",)), server)

    hosts = harness.inspect(task, "web")["HostConfig"]["Links"]
    assert hosts == [f"/{harness.docker_name(task, 'db')}:/{harness.docker_name(task, 'web')}/database"]


async def test_container_health_is_told_when_it_changes(harness: Harness) -> None:
    check = {"Test": ["CMD-SHELL", "test ! -e /tmp/sick"], "Interval": 10**9, "Timeout": 10**9, "Retries": 1}
    task = await harness.run(
        harness.container(
            health_check_type="docker",
            docker_config=acs.DockerConfig(config=json.dumps({"Healthcheck": check})),
        )
    )

    def health() -> str | None:
        found = harness.engine.task_health()
        return found[0].containers[0].health_status if found else None

    await asyncio.wait_for(harness.engine.wait_for_health_change(), 10)
    assert health() == "HEALTHY"
    command = harness.client.api.exec_create(harness.docker_name(task), ["/bin/touch", "/tmp/sick"])
    harness.client.api.exec_start(command["Id"])
    await asyncio.wait_for(harness.engine.wait_for_health_change(), 10)
    assert health() == "UNHEALTHY"


async def test_an_image_that_does_not_exist_stops_the_task_with_the_reason(harness: Harness) -> None:
    task = harness.task(harness.container(image="127.0.0.1:1/there/is/none:1"))
    await harness.engine.accept((task,))
    stopped = await harness.reported(task, "STOPPED")

    assert stopped.reason.startswith("CannotPullContainerError: ")
    assert harness.statuses(task) == ["STOPPED"]
    assert harness.containers_of(task) == []


async def test_a_command_that_does_not_exist_stops_the_task_with_the_reason(harness: Harness) -> None:
    task = harness.task(harness.container(command=("/there/is/none",)))
    await harness.engine.accept((task,))
    stopped = await harness.reported(task, "STOPPED")

    assert stopped.reason.startswith("CannotStartContainerError: ")
    assert "/there/is/none" in stopped.reason
    assert stopped.containers[0].exit_code is None


async def test_a_definition_that_the_engine_refuses_stops_the_task_with_the_reason(harness: Harness) -> None:
    wrong = acs.DockerConfig(host_config=json.dumps({"NetworkMode": "container:nobody-there"}))
    task = harness.task(harness.container(docker_config=wrong))
    await harness.engine.accept((task,))
    stopped = await harness.reported(task, "STOPPED")

    assert stopped.reason.startswith(("CannotCreateContainerError: ", "CannotStartContainerError: "))


async def test_memory_running_out_is_reported_by_its_name(harness: Harness) -> None:
    hungry = harness.shell("x=a; while :; do x=$x$x; done", memory=8)
    task = harness.task(hungry)
    await harness.engine.accept((task,))
    stopped = await harness.reported(task, "STOPPED")

    assert stopped.containers[0].reason == "OutOfMemoryError: Container killed due to memory usage"
    assert stopped.containers[0].exit_code == 137


async def test_a_container_removed_behind_our_back_is_reported(harness: Harness) -> None:
    task = await harness.run()
    harness.client.api.remove_container(harness.docker_name(task), force=True)
    stopped = await harness.reported(task, "STOPPED")

    # Docker may still answer the inspection between the end and the removal.
    assert stopped.containers[0].exit_code == 137 or "ContainerVanishedError" in (
        stopped.containers[0].reason or ""
    )


async def test_foreign_containers_are_left_alone(harness: Harness) -> None:
    labels = {**TEST_LABELS, "com.amazonaws.ecs.task-arn": "arn:aws:ecs:us-east-1:000000000000:task/x/y"}
    foreign = harness.client.api.create_container(harness.image, labels=labels)["Id"]
    try:
        harness.client.api.start(foreign)
        task = await harness.run()
        await harness.engine.stop_tasks([task.arn or ""])
        await harness.reported(task, "STOPPED")

        assert harness.client.api.inspect_container(foreign)["State"]["Running"]
        assert [known.task_arn for known in harness.engine.known_tasks()] == [task.arn]
    finally:
        harness.client.api.remove_container(foreign, force=True)


async def test_a_name_that_somebody_else_has_fails_the_task_and_leaves_the_other_alone(
    idle_harness: Harness,
) -> None:
    await idle_harness.start(token=lambda: "f" * 20)  # the one way to know the name beforehand
    task = idle_harness.task()
    name = f"ecs-app-{task.version}-web-"
    foreign = idle_harness.client.api.create_container(
        idle_harness.image, name=name + "f" * 20, labels=TEST_LABELS
    )
    try:
        await idle_harness.engine.accept((task,))
        stopped = await idle_harness.reported(task, "STOPPED")
        assert stopped.reason.startswith("CannotCreateContainerError: ")
        assert idle_harness.client.api.inspect_container(foreign["Id"])["State"]["Status"] == "created"
    finally:
        idle_harness.client.api.remove_container(foreign["Id"], force=True)
        await idle_harness.stop()


async def test_a_task_that_cannot_be_read_is_rejected_and_reported_stopped(harness: Harness) -> None:
    task = harness.task(harness.container(image=None))
    rejected = await harness.engine.accept((task,))
    stopped = await harness.reported(task, "STOPPED")

    assert [each.task_arn for each in rejected] == [task.arn]
    assert stopped.reason == "UnrecogniedTaskError: Error loading task - container web has no image"


async def test_a_task_that_never_fits_is_stopped_with_the_reason(idle_harness: Harness) -> None:
    small = Resources(cpu=1024, memory=512, ports_tcp=frozenset({22}), ports_udp=frozenset(), gpus=0)
    await idle_harness.start(capacity=small)
    try:
        task = idle_harness.task(idle_harness.container(memory=1024))
        assert await idle_harness.engine.accept((task,)) == ()
        stopped = await idle_harness.reported(task, "STOPPED")
        assert stopped.reason == (
            "ResourceInitializationError: needs 1024 MiB of memory, the instance has 512"
        )
    finally:
        await idle_harness.stop()


async def test_what_this_agent_cannot_do_is_refused_and_not_left_out(harness: Harness) -> None:
    task = harness.task(proxy_configuration=acs.ProxyConfiguration(type="APPMESH", container_name="web"))
    await harness.engine.accept((task,))

    stopped = await harness.reported(task, "STOPPED")
    assert stopped.reason.startswith("ResourceInitializationError: proxyConfiguration is not supported")


async def test_an_arn_is_started_once_however_often_it_comes(harness: Harness) -> None:
    task = await harness.run()
    await harness.engine.accept((task,))
    harness.client.api.kill(harness.docker_name(task))
    await harness.reported(task, "STOPPED")
    await harness.engine.accept((task,))
    await asyncio.sleep(0.2)

    assert len(harness.containers_of(task)) == 1
    assert harness.record(task).state.known.name == "STOPPED"


async def test_an_arn_that_ended_here_is_never_started_again_even_after_its_removal(
    idle_harness: Harness,
) -> None:
    await idle_harness.start(task_cleanup_wait_s=0.0)
    try:
        task = await idle_harness.run()
        await idle_harness.engine.stop_tasks([task.arn or ""])
        await idle_harness.eventually(lambda: not idle_harness.engine.known_tasks(), "the task removed")
        idle_harness.reports.clear()
        await idle_harness.engine.accept((task,))
        stopped = await idle_harness.reported(task, "STOPPED")

        assert "has ended on this instance before" in stopped.reason
        assert idle_harness.containers_of(task) == []
    finally:
        await idle_harness.stop()


async def test_an_unknown_task_that_shall_stop_is_reported_stopped(harness: Harness) -> None:
    task = harness.task(desired_status="STOPPED")
    await harness.engine.accept((task,))
    stopped = await harness.reported(task, "STOPPED")

    assert [c.status for c in stopped.containers] == ["STOPPED"]
    assert harness.containers_of(task) == []


async def test_statistics_come_in_ecs_units(idle_harness: Harness) -> None:
    await idle_harness.start(metrics_interval_s=0.2)
    try:
        task = await idle_harness.run(idle_harness.shell("while :; do :; done"))
        metric = await idle_harness.eventually(lambda: idle_harness.engine.task_metrics(60.0), "metrics")
        container = metric[0].container_metrics[0]

        assert metric[0].task_arn == task.arn
        assert metric[0].task_definition_family == "app"
        assert container.cpu_stats_set.max > 1.0
        assert 0.0 < container.memory_stats_set.max < 32.0
        assert container.network_stats_set.rx_bytes is not None
    finally:
        await idle_harness.stop()


async def _get(port: int) -> str:
    def fetch() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return str(answer.read().decode())

    for _ in range(50):
        try:
            return await asyncio.to_thread(fetch)
        except OSError:
            await asyncio.sleep(0.1)
    raise AssertionError(f"nothing answers on port {port}")
