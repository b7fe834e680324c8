"""A cluster at rest: instances that are connected and run the tasks of services, as a store and as agents.

`python -m tests.benchmarks.standing_fleet DATA_DIR INSTANCES` plays a controller's agents until it is killed.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import aiohttp
from yarl import URL

from agent.protocol import acs, envelope
from agent.protocol.arn import container_instance_arn, task_arn
from agent.protocol.clock import SystemClock
from agent.protocol.extensions import PROTOCOL_PARAMETER, TaskInventoryEntry, TaskInventoryMessage
from agent.protocol.signing import Credentials, sign
from agent.session.urls import websocket_url
from controller.bootstrap import open_store
from controller.config import ControllerConfig
from controller.keyring import ClientProfile, load_client_profile
from controller.state.codec import encode
from controller.state.entities import (
    Attribute,
    Cluster,
    ContainerInstance,
    Deployment,
    Entity,
    Service,
    Task,
    TaskContainer,
    TaskDefinition,
    TaskDefinitionFamily,
)
from controller.state.store.interface import FlushBatch, StoredRecord
from tests.conformance.played_agent import CAPABILITIES

TASKS_PER_INSTANCE = 30
TASKS_PER_SERVICE = 300
BORN = 1_700_000_000.0
BACK_OFF_S = 0.1
CONTAINER = {
    "name": "web",
    "image": "web:1",
    "cpu": 10,
    "memory": 64,
    "essential": True,
    "environment": [],
    "mountPoints": [],
    "portMappings": [{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}],
    "volumesFrom": [],
}


def write_store(data_dir: Path, instances: int) -> None:
    """Write the store of a controller whose cluster `default` is at rest."""
    data_dir.mkdir(parents=True, exist_ok=True)
    config = ControllerConfig(data_dir)
    with closing(open_store(config, SystemClock().now())) as store:
        store.take_over()
        records = [
            StoredRecord(entity.kind, entity.key, seq, encode(entity))
            for seq, entity in enumerate(_entities(instances), 1)
        ]
        store.flush(FlushBatch(len(records), records, []))


def _entities(instances: int) -> Iterator[Entity]:
    yield Cluster(name="default", created_at=BORN)
    yield TaskDefinitionFamily(name="web", last_revision=1)
    document = {"containerDefinitions": [CONTAINER], "volumes": [], "placementConstraints": []}
    yield TaskDefinition(
        family="web",
        revision=1,
        document=document | {"networkMode": "bridge"},
        requires_attributes=CAPABILITIES[:1],
        compatibilities=("EXTERNAL", "EC2"),
        registered_at=BORN,
    )
    services = instances * TASKS_PER_INSTANCE // TASKS_PER_SERVICE
    for number in range(services):
        name = f"web-{number}"
        yield Service(cluster="default", name=name, desired_count=TASKS_PER_SERVICE, created_at=BORN)
        yield Deployment(
            cluster="default",
            service=name,
            id=f"ecs-svc/{number}",
            status="PRIMARY",
            family="web",
            revision=1,
            rollout_state="COMPLETED",
            created_at=BORN,
            updated_at=BORN,
        )
    attributes = (*map(Attribute, CAPABILITIES), Attribute("ecs.os-type", "linux"))
    for number in range(instances):
        yield ContainerInstance(
            cluster="default",
            id=f"{number:032x}",
            ec2_instance_id=f"mi-{number}",
            cpu=16_384,
            memory=64_000,
            reserved_ports_tcp=(22,),
            attributes=(*attributes, Attribute("ecs.availability-zone", "abc"[number % 3])),
            registered_at=BORN,
        )
        for place in range(TASKS_PER_INSTANCE):
            yield _task(number * TASKS_PER_INSTANCE + place, number, services)


def _task(number: int, instance: int, services: int) -> Task:
    service = number % services
    return Task(
        cluster="default",
        id=f"{number:032x}",
        family="web",
        revision=1,
        instance=f"{instance:032x}",
        group=f"service:web-{service}",
        started_by=f"ecs-svc/{service}",
        service=f"web-{service}",
        deployment=f"ecs-svc/{service}",
        reported_status="RUNNING",
        has_run=True,
        containers=(
            TaskContainer(
                name="web",
                id=f"00000000-0000-4000-8000-{number:012x}",
                last_status="RUNNING",
                runtime_id="f00",
            ),
        ),
        cpu=10,
        memory=64,
        created_at=BORN,
        started_at=BORN,
    )


async def play(profile: ClientProfile, instances: int) -> None:
    """Keep all agents connected, until cancelled."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 2 * instances), hard), hard))
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
        asyncio.TaskGroup() as agents,
    ):
        for number in range(instances):
            agents.create_task(_agent(http, profile, number))


async def _agent(http: aiohttp.ClientSession, profile: ClientProfile, number: int) -> None:
    arn = container_instance_arn(profile.region, profile.account_id, "default", f"{number:032x}")
    websocket = await _connect(http, profile, arn)
    first = number * TASKS_PER_INSTANCE
    inventory = [
        TaskInventoryEntry(
            task_arn=task_arn(profile.region, profile.account_id, "default", f"{task:032x}"),
            desired_status="RUNNING",
            known_status="RUNNING",
            sent_status="RUNNING",
            family="web",
            version="1",
            started_at=BORN,
        )
        for task in range(first, first + TASKS_PER_INSTANCE)
    ]
    await websocket.send_str(envelope.encode(TaskInventoryMessage(tasks=tuple(inventory))))
    async for frame in websocket:
        message = envelope.decode_acs(frame.data)
        if isinstance(message, acs.HeartbeatMessage):
            await websocket.send_str(envelope.encode(acs.HeartbeatAckRequest(message_id=message.message_id)))
        elif isinstance(message, acs.PayloadMessage):
            acknowledgement = acs.AckRequest(
                cluster="default", container_instance=arn, message_id=message.message_id
            )
            await websocket.send_str(envelope.encode(acknowledgement))


async def _connect(
    http: aiohttp.ClientSession, profile: ClientProfile, arn: str
) -> aiohttp.ClientWebSocketResponse:
    url = websocket_url(
        f"{profile.endpoint}/acs",
        {"clusterArn": "default", "containerInstanceArn": arn, PROTOCOL_PARAMETER: "1", "seqNum": "1"},
    )
    while True:
        headers = sign(
            method="GET",
            url=url.replace("ws://", "http://"),
            headers={},
            body=b"",
            credentials=Credentials(profile.access_key_id, profile.secret_access_key),
            service="ecs",
            region=profile.region,
            now=SystemClock().now(),
        )
        try:
            return await http.ws_connect(URL(url, encoded=True), headers=headers)
        except aiohttp.WSServerHandshakeError as refusal:
            if refusal.status != 503:
                raise
            await asyncio.sleep(BACK_OFF_S)


if __name__ == "__main__":
    asyncio.run(play(load_client_profile(Path(sys.argv[1])), int(sys.argv[2])))
