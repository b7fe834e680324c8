"""What the agent holds of the credentials of tasks' roles."""

from agent.engine.role_credentials import RoleCredentials, without_secrets
from agent.protocol import acs
from tests.unit.engine.builders import ARN, acs_task


def credentials(credentials_id: str = "id", secret: str = "secret") -> acs.IAMRoleCredentials:
    """A set of credentials."""
    return acs.IAMRoleCredentials(
        credentials_id=credentials_id, role_arn="arn:role", access_key_id="key", secret_access_key=secret
    )


def test_a_refresh_takes_the_place_of_what_was_held_under_its_id() -> None:
    held = RoleCredentials()
    held.keep(ARN, "TaskApplication", credentials(secret="old"))
    held.keep(ARN, "TaskApplication", credentials(secret="new"))

    found = held.find("id")
    assert found is not None
    assert (found.task_arn, found.credentials.secret_access_key) == (ARN, "new")


def test_both_roles_of_a_task_are_found_apart() -> None:
    held = RoleCredentials()
    held.keep_of_payload(
        acs_task(role_credentials=credentials("app"), execution_role_credentials=credentials("exec"))
    )

    of_task, of_execution = (held.of_task(ARN, role) for role in ("TaskApplication", "TaskExecution"))
    assert of_task is not None
    assert of_execution is not None
    assert (of_task.credentials_id, of_execution.credentials_id) == ("app", "exec")
    assert held.of_task("another", "TaskApplication") is None


def test_what_comes_back_from_disk_is_awaited_until_its_secrets_arrive() -> None:
    held = RoleCredentials()
    held.keep_of_payload(acs_task(role_credentials=without_secrets(credentials())))
    assert held.awaits("id")
    assert held.find("id") is None

    held.keep(ARN, "TaskApplication", credentials())
    assert not held.awaits("id")
    assert held.find("id") is not None


def test_an_id_that_no_task_has_is_neither_held_nor_awaited() -> None:
    held = RoleCredentials()
    held.keep(ARN, "TaskApplication", acs.IAMRoleCredentials(secret_access_key="secret"))

    assert held.find("") is None
    assert not held.awaits("id")


def test_nothing_is_left_of_a_task_that_ended() -> None:
    held = RoleCredentials()
    held.keep(ARN, "TaskApplication", credentials())
    held.keep(ARN, "TaskExecution", without_secrets(credentials("other")) or credentials())
    held.forget(ARN)

    assert held.find("id") is None
    assert not held.awaits("other")


def test_no_secret_is_written_when_the_store_is_shown() -> None:
    held = RoleCredentials()
    held.keep(ARN, "TaskApplication", credentials(secret="hidden"))

    assert "hidden" not in repr(held.find("id"))
