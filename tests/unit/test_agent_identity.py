"""The agent's identity survives restarts, and nothing else."""

import stat
from pathlib import Path

import pytest

from agent.identity import FILE_NAME, IdentityError, IdentityFile, IdentityNotSavedError

ARN = "arn:aws:ecs:us-east-1:000000000000:container-instance/default/ab"


async def test_what_is_updated_is_there_after_a_restart(tmp_path: Path) -> None:
    identity = IdentityFile.load(tmp_path, "default", "machine-1")
    assert identity.current.container_instance_arn is None
    await identity.update(container_instance_arn=ARN, store_uuid="s", epoch=3, manifest_mark=9)
    again = IdentityFile.load(tmp_path, "default", "machine-1")
    assert again.current == identity.current
    assert (again.current.container_instance_arn, again.current.epoch) == (ARN, 3)


async def test_only_the_owner_may_read_the_file_and_no_draft_is_left(tmp_path: Path) -> None:
    await IdentityFile.load(tmp_path, "default", "m").update(epoch=1)
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


async def test_a_directory_copied_to_another_machine_is_no_identity_there(tmp_path: Path) -> None:
    await IdentityFile.load(tmp_path, "default", "machine-1").update(container_instance_arn=ARN, epoch=4)
    copied = IdentityFile.load(tmp_path, "default", "machine-2").current
    assert copied.container_instance_arn is None
    assert copied.epoch == 0


async def test_what_a_copied_directory_holds_is_marked_as_somebody_elses(tmp_path: Path) -> None:
    own = IdentityFile.load(tmp_path, "default", "machine-1")
    await own.update(container_instance_arn=ARN)
    copied = IdentityFile.load(tmp_path, "default", "machine-2")
    assert copied.current.owner != own.current.owner
    again = IdentityFile.load(tmp_path, "default", "machine-2")
    assert again.current == copied.current, "it is the new identity's for good"


async def test_a_directory_copied_on_one_machine_is_another_agent_and_one_that_was_moved_is_the_same(
    tmp_path: Path,
) -> None:
    (first := tmp_path / "first").mkdir()
    (second := tmp_path / "second").mkdir()
    await IdentityFile.load(first, "default", "m").update(container_instance_arn=ARN)
    owner = IdentityFile.load(first, "default", "m").current.owner
    (second / FILE_NAME).write_bytes((first / FILE_NAME).read_bytes())
    copied = IdentityFile.load(second, "default", "m").current
    assert copied.container_instance_arn is None
    assert copied.owner != owner

    first.rename(tmp_path / "third")
    moved = IdentityFile.load(tmp_path / "third", "default", "m").current
    assert (moved.container_instance_arn, moved.owner) == (ARN, owner)


async def test_a_lost_file_leaves_the_mark_of_its_directory(tmp_path: Path) -> None:
    own = IdentityFile.load(tmp_path, "default", "m")
    await own.update(container_instance_arn=ARN)
    (tmp_path / FILE_NAME).unlink()
    assert IdentityFile.load(tmp_path, "default", "m").current.owner == own.current.owner


async def test_an_identity_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    directory = tmp_path / "agent"
    directory.mkdir()
    identity = IdentityFile.load(directory, "default", "m")
    directory.rmdir()
    with pytest.raises(IdentityNotSavedError, match="cannot be written"):
        await identity.update(epoch=5)
    assert identity.current.epoch == 0


async def test_a_machine_without_an_id_keeps_its_identity(tmp_path: Path) -> None:
    await IdentityFile.load(tmp_path, "default", "").update(container_instance_arn=ARN)
    assert IdentityFile.load(tmp_path, "default", "").current.container_instance_arn == ARN
    assert IdentityFile.load(tmp_path, "default", "machine-1").current.container_instance_arn == ARN


async def test_the_cluster_may_be_given_by_name_or_arn_but_not_changed(tmp_path: Path) -> None:
    await IdentityFile.load(tmp_path, "prod", "m").update(container_instance_arn=ARN)
    arn = "arn:aws:ecs:us-east-1:000000000000:cluster/prod"
    assert IdentityFile.load(tmp_path, arn, "m").current.container_instance_arn == ARN
    with pytest.raises(IdentityError, match=r"cluster 'prod', not 'test'"):
        IdentityFile.load(tmp_path, "test", "m")


@pytest.mark.parametrize("content", [b"", b"{", b'{"cluster":1}'])
def test_a_file_that_cannot_be_read_is_an_error_and_not_a_new_identity(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(IdentityError, match="cannot be read"):
        IdentityFile.load(tmp_path, "default", "m")
