"""Which digest a deployment settles on, and which containers it holds for."""

from __future__ import annotations

from typing import Any

from controller.state.entities import Deployment, Task, TaskContainer
from controller.state.image_pins import pinned_image, runs_another_image, with_digests

ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64


def deployment(*digests: tuple[str, str]) -> Deployment:
    return Deployment(
        cluster="default",
        service="web",
        id="ecs-svc/1",
        family="web",
        revision=1,
        image_digests=digests,
        created_at=1.0,
        updated_at=1.0,
    )


def document(**members: Any) -> dict[str, Any]:
    return {"containerDefinitions": [{"name": "app", "image": "registry/web:1", **members}]}


def task(**digests: str) -> Task:
    containers = tuple(TaskContainer(name=n, id=n, image_digest=d) for n, d in digests.items())
    return Task(cluster="default", id="a", family="web", revision=1, containers=containers, created_at=1.0)


def test_the_first_task_that_tells_settles_it() -> None:
    settled = with_digests(deployment(), document(), task(app=ONE))
    assert settled.image_digests == (("app", ONE),)
    assert with_digests(settled, document(), task(app=TWO)) is settled


def test_an_image_of_no_registry_and_a_digest_that_is_none_settle_nothing() -> None:
    before = deployment()
    assert with_digests(before, document(), task(app="")) is before
    assert with_digests(before, document(), task(app="latest")) is before


def test_containers_that_the_definition_does_not_have_settle_nothing() -> None:
    before = deployment()
    assert with_digests(before, document(), task(internal=ONE)) is before


def test_version_consistency_can_be_disabled() -> None:
    before = deployment()
    assert with_digests(before, document(versionConsistency="disabled"), task(app=ONE)) is before
    enabled = with_digests(before, document(versionConsistency="enabled"), task(app=ONE))
    assert enabled.image_digests == (("app", ONE),)


def test_an_image_with_a_digest_of_its_own_stays_as_it_is() -> None:
    before = deployment()
    image = f"registry/web@{TWO}"
    assert with_digests(before, document(image=image), task(app=ONE)) is before
    assert pinned_image(image, "app", {"app": ONE}) == image


def test_later_tasks_get_the_image_with_the_digest() -> None:
    assert pinned_image("registry/web:1", "app", {"app": ONE}) == f"registry/web:1@{ONE}"
    assert pinned_image("registry/web:1", "side", {"app": ONE}) == "registry/web:1"


def test_a_task_that_was_started_before_the_first_had_told_may_run_another_image() -> None:
    settled = deployment(("app", ONE))
    assert runs_another_image(settled, task(app=TWO))
    assert not runs_another_image(settled, task(app=ONE))
    assert not runs_another_image(settled, task(app=""))
    assert not runs_another_image(settled, task(app=ONE, side=TWO))
    assert not runs_another_image(deployment(), task(app=TWO))
