"""The engine's account of its disk, told apart by owner and task."""

from pathlib import Path
from typing import Any

from agent.engine.disk import Fill, judge, log_sizes
from agent.engine.disk_usage import DiskUsage, disk_usage

TASK = "arn:aws:ecs:us-east-1:000000000000:task/default/1"
LABELS = {"com.amazonaws.ecs.task-arn": TASK, "homeport.agent": "me"}
CONDITION = judge((Fill("/var/lib/docker", 1000, 900, 100),), 75, 85)


def container(id_: str, labels: dict[str, str] | None = None, **members: Any) -> dict[str, Any]:
    """A container as the engine lists it."""
    return {"Id": id_, "Names": [f"/{id_}"], "State": "running", "SizeRw": 7, "Labels": labels, **members}


def usage(**body: Any) -> DiskUsage:
    """What becomes of an answer of the engine."""
    return disk_usage({"LayersSize": 100, **body}, CONDITION, {"sha256:ours"}, {"c1": 5})


def test_containers_are_told_apart_by_label_and_carry_their_logs() -> None:
    found = usage(Containers=[container("c1", LABELS), container("c2", None, SizeRw=None)])
    ours, theirs = found.containers
    assert (ours.name, ours.owner, ours.task, ours.writable, ours.logs) == ("c1", "homeport", TASK, 7, 5)
    assert (theirs.owner, theirs.task, theirs.writable, theirs.logs) == ("others", None, 0, None)


def test_an_image_is_ours_if_we_pulled_it_and_holds_alone_what_it_does_not_share() -> None:
    images = [
        {"Id": "sha256:ours", "RepoTags": ["web:1"], "Size": 100, "SharedSize": 30, "Containers": 2},
        {"Id": "sha256:x", "RepoTags": ["<none>:<none>"], "RepoDigests": ["web@sha256:1"], "Size": 10},
        {"Id": "sha256:y", "RepoTags": None, "RepoDigests": ["<none>@<none>"], "Size": 10},
    ]
    ours, theirs, nameless = usage(Images=images).images
    assert (ours.owner, ours.names, ours.unique, ours.containers) == ("homeport", ("web:1",), 70, 2)
    assert (theirs.owner, theirs.names, theirs.unique, theirs.containers) == (
        "others",
        ("web@sha256:1",),
        10,
        0,
    )
    assert nameless.names == ()


def test_a_volume_belongs_to_the_tasks_that_made_or_mount_it() -> None:
    volumes: list[dict[str, Any]] = [
        {"Name": "scratch", "Labels": LABELS, "UsageData": {"Size": 3}},
        {"Name": "shared", "Labels": None, "UsageData": {"Size": 4}},
        {"Name": "theirs", "Labels": {}, "UsageData": {"Size": -1}},
    ]
    mounting = container("c1", LABELS, Mounts=[{"Name": "shared"}])
    scratch, shared, theirs = usage(Volumes=volumes, Containers=[mounting]).volumes
    assert (scratch.owner, scratch.tasks, scratch.mounted, scratch.size) == ("homeport", (TASK,), False, 3)
    assert (shared.owner, shared.tasks, shared.mounted, shared.size) == ("homeport", (TASK,), True, 4)
    assert (theirs.owner, theirs.tasks, theirs.mounted, theirs.size) == ("others", (), False, None)


def test_disks_and_build_caches_are_told_too() -> None:
    found = usage(BuildCache=[{"Size": 3}, {"Size": 4}])
    assert (found.status, found.reason) == ("FULL", "disk 90 % full on /var/lib/docker")
    assert (found.disks[0].percent, found.build_cache, found.layers) == (90, 7, 100)


def test_an_engine_that_holds_nothing_answers_with_nulls() -> None:
    found = usage(Images=None, Containers=None, Volumes=None, BuildCache=None)
    assert (found.images, found.containers, found.volumes, found.build_cache) == ((), (), (), 0)


def test_log_files_of_both_drivers_are_added_up(tmp_path: Path) -> None:
    folder = tmp_path / "containers" / "c1"
    (folder / "local-logs").mkdir(parents=True)
    for name, content in {
        "c1-json.log": "12345",
        "c1-json.log.1": "123",
        "local-logs/container.log": "12",
        "config.v2.json": "no log",
    }.items():
        (folder / name).write_text(content)
    assert log_sizes(tmp_path, ["c1", "gone"]) == {"c1": 10, "gone": None}
