"""Amazon Resource Names: parsing them and building the forms that ECS uses (long format only)."""

import msgspec

PARTITION = "aws"
SERVICE = "ecs"


class Arn(msgspec.Struct, frozen=True, gc=False):
    """A parsed ``arn:partition:service:region:account:resource``.

    ``resource`` may itself hold ``:`` and ``/``.
    """

    partition: str
    service: str
    region: str
    account: str
    resource: str

    @classmethod
    def parse(cls, text: str) -> "Arn":
        """Split ``text`` into its six parts.

        Raises ``ValueError`` if it does not start with ``arn:`` or lacks a partition, service or resource.
        """
        parts = text.split(":", 5)
        if len(parts) != 6 or parts[0] != "arn" or not (parts[1] and parts[2] and parts[5]):
            raise ValueError(f"not an ARN: {text!r}")
        return cls(*parts[1:])

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"


def _ecs_arn(region: str, account: str, resource: str) -> str:
    return f"arn:{PARTITION}:{SERVICE}:{region}:{account}:{resource}"


def cluster_arn(region: str, account: str, name: str) -> str:
    """``arn:aws:ecs:REGION:ACCOUNT:cluster/NAME``."""
    return _ecs_arn(region, account, f"cluster/{name}")


def task_arn(region: str, account: str, cluster: str, task_id: str) -> str:
    """``…:task/CLUSTER/ID``; ``cluster`` is the cluster's name, the id 32 lower-case hex digits."""
    return _ecs_arn(region, account, f"task/{cluster}/{task_id}")


def container_instance_arn(region: str, account: str, cluster: str, instance_id: str) -> str:
    """``…:container-instance/CLUSTER/ID``."""
    return _ecs_arn(region, account, f"container-instance/{cluster}/{instance_id}")


def service_arn(region: str, account: str, cluster: str, name: str) -> str:
    """``…:service/CLUSTER/NAME``."""
    return _ecs_arn(region, account, f"service/{cluster}/{name}")


def task_definition_arn(region: str, account: str, family: str, revision: int) -> str:
    """``…:task-definition/FAMILY:REVISION``."""
    return _ecs_arn(region, account, f"task-definition/{family}:{revision}")


def container_arn(region: str, account: str, cluster: str, task_id: str, uuid: str) -> str:
    """``…:container/CLUSTER/TASK_ID/UUID``."""
    return _ecs_arn(region, account, f"container/{cluster}/{task_id}/{uuid}")


def last_segment(arn_or_id: str) -> str:
    """The text after the last ``/``: a task's id, a service's or cluster's name.

    An id or name is returned as it is.
    """
    return arn_or_id.rpartition("/")[2]
