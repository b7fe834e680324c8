"""The credentials of tasks' roles, as the controller sends and refreshes them. In memory only, never on disk.

A set of credentials keeps its id over every refresh: containers hold the id in their environment for as long
as they live. After a restart of the agent the ids are known from the tasks themselves, and their secrets are
awaited until the controller sends them again.
"""

from typing import Literal

import msgspec

from agent.protocol import acs

RoleType = Literal["TaskApplication", "TaskExecution"]
"""Whose they are: those of the task's own code, or those that the agent prepares the task with."""


class HeldCredentials(msgspec.Struct, frozen=True, gc=False):
    """A set of credentials, whose task it belongs to and what for."""

    task_arn: str
    role_type: str
    credentials: acs.IAMRoleCredentials


class RoleCredentials:
    """Every set of credentials that this agent holds or awaits, by id."""

    def __init__(self) -> None:
        self._held: dict[str, HeldCredentials] = {}
        self._awaited: dict[str, str] = {}
        """Id to ARN of the task."""

    def keep(self, task_arn: str, role_type: str, credentials: acs.IAMRoleCredentials) -> None:
        """Take in new or refreshed credentials. Those without an id cannot be asked for and are dropped.

        A set without secrets, as tasks carry it on disk, is only awaited.
        """
        credentials_id = credentials.credentials_id
        if not credentials_id:
            return
        if credentials.secret_access_key:
            self._held[credentials_id] = HeldCredentials(task_arn, role_type, credentials)
            self._awaited.pop(credentials_id, None)
        elif credentials_id not in self._held:
            self._awaited[credentials_id] = task_arn

    def keep_of_payload(self, task: acs.Task) -> None:
        """Take in whatever credentials come with a task."""
        if task.role_credentials is not None:
            self.keep(task.arn or "", "TaskApplication", task.role_credentials)
        if task.execution_role_credentials is not None:
            self.keep(task.arn or "", "TaskExecution", task.execution_role_credentials)

    def find(self, credentials_id: str) -> HeldCredentials | None:
        """The newest credentials of an id; None if there are none, or none yet."""
        return self._held.get(credentials_id)

    def awaits(self, credentials_id: str) -> bool:
        """Whether the id is a task's, and its secrets are still to come."""
        return credentials_id in self._awaited

    def of_task(self, task_arn: str, role_type: RoleType) -> acs.IAMRoleCredentials | None:
        """The newest credentials of a task's role; None if it has none, or none yet."""
        found = [h for h in self._held.values() if h.task_arn == task_arn and h.role_type == role_type]
        return found[-1].credentials if found else None

    def forget(self, task_arn: str) -> None:
        """The task has ended; nobody can use its credentials any more."""
        for credentials_id in [key for key, held in self._held.items() if held.task_arn == task_arn]:
            del self._held[credentials_id]
        for credentials_id in [key for key, arn in self._awaited.items() if arn == task_arn]:
            del self._awaited[credentials_id]


def without_secrets(credentials: acs.IAMRoleCredentials | None) -> acs.IAMRoleCredentials | None:
    """What of a set of credentials may be written to disk: its id and the role's ARN."""
    if credentials is None:
        return None
    return acs.IAMRoleCredentials(credentials_id=credentials.credentials_id, role_arn=credentials.role_arn)
