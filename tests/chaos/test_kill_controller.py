"""The controller killed with SIGKILL at random instants under mixed load.

What was acknowledged or read before the kill is there after the restart.

Full mode: `HOMEPORT_CHAOS_KILLS=1000 pytest tests/chaos/test_kill_controller.py`.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from controller.cli.client import Client
from controller.cli.errors import CommandFailed
from controller.keyring import load_client_profile
from tests.support.processes import ControllerProcess

KILLS = int(os.environ.get("HOMEPORT_CHAOS_KILLS", "50"))
SEED = int(os.environ.get("HOMEPORT_CHAOS_SEED", "20"))
WRITERS = 3
READERS = 2


class Promises:
    """What the controller acknowledged or showed: lower bounds of what it must show from then on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clusters: set[str] = set()
        self.markers: dict[str, str] = {}
        """Marker in the document of each acknowledged task definition revision."""
        self.revisions: dict[str, int] = {}
        """Highest revision acknowledged or seen, by family."""
        self.counts: dict[str, int] = {}
        """Highest desired count acknowledged or seen, by service; writers only raise it."""

    def cluster(self, arn: str) -> None:
        with self._lock:
            self.clusters.add(arn)

    def definition(self, definition: dict[str, Any]) -> None:
        name = f"{definition['family']}:{definition['revision']}"
        marker = definition["containerDefinitions"][0]["environment"][0]["value"]
        with self._lock:
            assert self.markers.setdefault(name, marker) == marker, f"{name} was promised to two callers"
            self.revisions[definition["family"]] = max(
                self.revisions.get(definition["family"], 0), definition["revision"]
            )

    def service(self, service: dict[str, Any]) -> None:
        with self._lock:
            name = service["serviceName"]
            self.counts[name] = max(self.counts.get(name, 0), service["desiredCount"])


def write(client: Client, promises: Promises, writer: int, turn: int, rng: random.Random) -> None:
    """One turn of a writer: some change, promised as soon as it is acknowledged."""
    action = rng.randrange(4)
    if action == 0:
        arn = client.ecs("CreateCluster", clusterName=f"cluster-{writer}-{turn}")["cluster"]["clusterArn"]
        promises.cluster(arn)
    elif action == 1 or f"family-{writer}" not in promises.revisions:
        environment = [{"name": "MARKER", "value": f"{writer}-{turn}-{rng.random()}"}]
        container = {"name": "app", "image": "web:1", "memory": 16, "environment": environment}
        answer = client.ecs(
            "RegisterTaskDefinition", family=f"family-{writer}", containerDefinitions=[container]
        )
        promises.definition(answer["taskDefinition"])
    elif action == 2:
        answer = client.ecs(
            "CreateService",
            serviceName=f"service-{writer}-{turn}",
            taskDefinition=f"family-{writer}",
            desiredCount=0,
        )
        promises.service(answer["service"])
    else:
        mine = [name for name in list(promises.counts) if name.startswith(f"service-{writer}-")]
        if mine:
            name = rng.choice(mine)
            answer = client.ecs("UpdateService", service=name, desiredCount=promises.counts[name] + 1)
            promises.service(answer["service"])


def read(client: Client, promises: Promises, reader: int, turn: int, rng: random.Random) -> None:
    """One turn of a reader: what it sees counts as promised."""
    if turn % 2:
        for arn in client.list_all("ListClusters", "clusterArns"):
            promises.cluster(arn)
    elif names := list(promises.counts):
        chosen = rng.sample(names, min(10, len(names)))
        for service in client.ecs("DescribeServices", services=chosen)["services"]:
            promises.service(service)


def load(
    client: Client, promises: Promises, stop: threading.Event, failures: list[Exception], seed: int
) -> list[threading.Thread]:
    """Start writers and readers that go on until the controller is gone."""

    def go_on(turn_of: Callable[[Client, Promises, int, int, random.Random], None], number: int) -> None:
        rng = random.Random(f"{seed}-{turn_of.__name__}-{number}")
        turn = seed * 100_000
        try:
            while not stop.is_set():
                turn += 1
                turn_of(client, promises, number, turn, rng)
        except CommandFailed as error:
            if not stop.is_set() and "no controller answers" not in str(error):
                failures.append(error)
        except Exception as error:  # noqa: BLE001  # handed to the test, which fails with it
            failures.append(error)

    threads = [threading.Thread(target=go_on, args=(write, number)) for number in range(WRITERS)]
    threads += [threading.Thread(target=go_on, args=(read, number)) for number in range(READERS)]
    for thread in threads:
        thread.start()
    return threads


def verify(client: Client, promises: Promises) -> None:
    """Everything promised is there."""
    missing = promises.clusters - set(client.list_all("ListClusters", "clusterArns"))
    assert not missing, f"clusters lost: {sorted(missing)}"
    for family, revision in promises.revisions.items():
        newest = client.ecs("DescribeTaskDefinition", taskDefinition=family)["taskDefinition"]
        assert newest["revision"] >= revision
        promised = client.ecs("DescribeTaskDefinition", taskDefinition=f"{family}:{revision}")[
            "taskDefinition"
        ]
        assert (
            promised["containerDefinitions"][0]["environment"][0]["value"]
            == promises.markers[f"{family}:{revision}"]
        )
    names = sorted(promises.counts)
    services = client.describe_all("DescribeServices", "services", "services", names, 10)
    found = {service["serviceName"]: service["desiredCount"] for service in services}
    lost = {
        name: (count, found.get(name))
        for name, count in promises.counts.items()
        if found.get(name, -1) < count
    }
    assert not lost, f"services lost or older than promised (promised, found): {lost}"


@pytest.mark.timeout(60 + 10 * KILLS)
def test_nothing_acknowledged_or_read_is_lost_by_a_kill(tmp_path: Path) -> None:
    controller = ControllerProcess(tmp_path / "data")
    promises = Promises()
    rng = random.Random(SEED)
    failures: list[Exception] = []
    try:
        for kill in range(KILLS):
            controller.start()
            client = Client(load_client_profile(controller.data_dir))
            verify(client, promises)
            stop = threading.Event()
            threads = load(client, promises, stop, failures, kill)
            stop.wait(rng.uniform(0.05, 0.8))
            controller.kill()
            stop.set()
            for thread in threads:
                thread.join()
            assert not failures, f"kill {kill}: {failures!r}\n{controller.log()}"
        controller.start()
        verify(Client(load_client_profile(controller.data_dir)), promises)
    finally:
        controller.end()
    print(
        f"{KILLS} kills: {len(promises.clusters)} clusters, {len(promises.markers)} revisions and "
        f"{len(promises.counts)} services promised, none lost"
    )
    assert len(promises.markers) > KILLS
