"""GPUs: found as their driver lists them, registered by their ids, asked of the engine by them. On recorded
files: the test machine has none.
"""

from pathlib import Path

from agent.app import capacity
from agent.engine.container_body import create_body
from agent.engine.definition import plan_task
from agent.host.gpus import nvidia_gpus
from agent.host.machine import Machine
from agent.host.resources import total_resources
from agent.protocol import acs
from agent.session.registration import registration_request
from tests.unit.engine.builders import acs_container, acs_task

FIRST, SECOND = "GPU-0a6ce2b4-3f1d-11ee-a506-5ba1c8a1f1c2", "GPU-1b2c3d4e-3f1d-11ee-a506-5ba1c8a1f1c2"
INFORMATION = """Model: 		 Tesla T4
IRQ:   		 54
GPU UUID: 	 {}
Video BIOS: 	 90.04.96.00.A0
Bus Location: 	 {}
Device Minor: 	 0
"""


def test_the_driver_lists_the_gpus(tmp_path: Path) -> None:
    for bus, uuid in (("0000:00:1f.0", SECOND), ("0000:00:1e.0", FIRST)):
        folder = tmp_path / "driver/nvidia/gpus" / bus
        folder.mkdir(parents=True)
        (folder / "information").write_text(INFORMATION.format(uuid, bus))

    assert nvidia_gpus(tmp_path) == (FIRST, SECOND)


def test_a_machine_without_the_driver_has_none(tmp_path: Path) -> None:
    assert nvidia_gpus(tmp_path) == ()


def test_they_are_registered_as_devices_of_the_platform_and_counted() -> None:
    request = registration_request(
        cluster="default",
        container_instance_arn=None,
        attributes=(),
        resources=(),
        tags=(),
        client_token="t",
        gpu_ids=(FIRST, SECOND),
    )
    assert request["platformDevices"] == [{"id": FIRST, "type": "GPU"}, {"id": SECOND, "type": "GPU"}]

    machine = Machine(machine_id="m", boot_id="b", cpus=4, memory_mib=64, architecture="x86_64")
    resources = total_resources(machine, reserved_memory_mib=0, reserved_ports=(), reserved_ports_udp=())
    counted = capacity(resources, (FIRST, SECOND))
    assert (counted.gpus, counted.gpu_ids) == (2, frozenset({FIRST, SECOND}))


def test_a_container_gets_the_gpus_that_the_controller_has_given_to_it() -> None:
    containers = acs_container("web"), acs_container("side")
    given = tuple(acs.Association(type="gpu", name=gpu, containers=("web",)) for gpu in (FIRST, SECOND))
    task = acs_task(*containers, associations=given)
    plan = plan_task(task, 30.0, lambda: "0" * 20)
    web, side = (create_body(task, plan, container, "owner", None) for container in containers)

    assert web["HostConfig"]["DeviceRequests"] == [
        {"Driver": "nvidia", "DeviceIDs": [FIRST, SECOND], "Capabilities": [["gpu"]]}
    ]
    assert "DeviceRequests" not in side["HostConfig"]
