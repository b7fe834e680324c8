"""ARNs in ECS's long format."""

import pytest

from agent.protocol import arn


@pytest.mark.parametrize(
    ("built", "expected"),
    [
        (arn.cluster_arn("r", "1", "c"), "arn:aws:ecs:r:1:cluster/c"),
        (arn.task_arn("r", "1", "c", "ab"), "arn:aws:ecs:r:1:task/c/ab"),
        (arn.container_instance_arn("r", "1", "c", "ab"), "arn:aws:ecs:r:1:container-instance/c/ab"),
        (arn.service_arn("r", "1", "c", "s"), "arn:aws:ecs:r:1:service/c/s"),
        (arn.task_definition_arn("r", "1", "f", 3), "arn:aws:ecs:r:1:task-definition/f:3"),
        (arn.container_arn("r", "1", "c", "t", "u"), "arn:aws:ecs:r:1:container/c/t/u"),
    ],
)
def test_each_kind_of_arn_is_built_parsed_and_written_alike(built: str, expected: str) -> None:
    assert built == expected
    parsed = arn.Arn.parse(built)
    assert (parsed.partition, parsed.service, parsed.region, parsed.account) == ("aws", "ecs", "r", "1")
    assert str(parsed) == built


@pytest.mark.parametrize(
    "text", ["", "default", "arn:aws:ecs", "arn:aws:ecs:r:1:", "urn:aws:ecs:r:1:x", "arn::ecs:r:1:x"]
)
def test_what_is_no_arn_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an ARN"):
        arn.Arn.parse(text)


def test_the_last_segment_is_the_id_or_name() -> None:
    assert arn.last_segment("arn:aws:ecs:r:1:task/c/ab") == "ab"
    assert arn.last_segment("arn:aws:ecs:r:1:task-definition/f:3") == "f:3"
    assert arn.last_segment("web") == "web"
