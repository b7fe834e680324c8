"""The members of the service model's input structures, and what a value of each looks like."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controller.api.operations import ECS_OPERATIONS, aws_only
from controller.api.operations.submissions import TYPED_OPERATIONS
from tests.unit.api.output_shapes import ecs_model

IMPLEMENTED = sorted((ECS_OPERATIONS.keys() | TYPED_OPERATIONS.keys()) - aws_only.OPERATIONS.keys())

NOT_EXERCISED: dict[str, str] = {}
"""Structures, or single members (`Structure.member`), that no test need touch, and why."""

_YOUR_MACHINES = "is kept and shown; machines are yours to add and remove"
_LABEL = "is a label: hosts have networks of their own"
_PLATFORM = "is checked and shown; tasks run on your hosts"
_NEVER_RUN = "is kept and shown; tasks of such a revision are refused"
_AWS_STORAGE = "is kept and shown; disks are those of your hosts"

IGNORED: dict[str, str] = {
    "AutoScalingGroupProvider.managedDraining": _YOUR_MACHINES,
    "AutoScalingGroupProvider.managedScaling": _YOUR_MACHINES,
    "AutoScalingGroupProvider.managedTerminationProtection": _YOUR_MACHINES,
    "AutoScalingGroupProviderUpdate.managedDraining": _YOUR_MACHINES,
    "AutoScalingGroupProviderUpdate.managedScaling": _YOUR_MACHINES,
    "AutoScalingGroupProviderUpdate.managedTerminationProtection": _YOUR_MACHINES,
    "AwsVpcConfiguration.assignPublicIp": _LABEL,
    "AwsVpcConfiguration.securityGroups": _LABEL,
    "AwsVpcConfiguration.subnets": _LABEL,
    "ClusterConfiguration.executeCommandConfiguration": "is kept and shown",
    "ClusterConfiguration.managedStorageConfiguration": _AWS_STORAGE,
    "ClusterSetting.name": "is kept and shown; metrics are always there",
    "ClusterSetting.value": "is kept and shown; metrics are always there",
    "CreateServiceRequest.monitoring": "is kept and shown; metrics have one resolution",
    "CreateServiceRequest.platformVersion": _PLATFORM,
    "EphemeralStorage.sizeInGiB": _AWS_STORAGE,
    "PortMapping.appProtocol": "is kept and shown; there is no Service Connect",
    "PortMapping.name": "is kept and shown; there is no Service Connect",
    "RegisterContainerInstanceRequest.instanceIdentityDocumentSignature": "is not checked",
    "RegisterTaskDefinitionRequest.inferenceAccelerators": _NEVER_RUN,
    "RegisterTaskDefinitionRequest.proxyConfiguration": _NEVER_RUN,
    "RegisterTaskDefinitionRequest.trustedExecutionConfiguration": _NEVER_RUN,
    "RegisterTaskDefinitionRequest.enableFaultInjection": "is kept and shown",
    "RunTaskRequest.platformVersion": _PLATFORM,
    "RunTaskRequest.referenceId": "is kept",
    "StartTaskRequest.referenceId": "is kept",
    "SubmitAttachmentStateChangesRequest.attachments": "is acknowledged: tasks have no attachments here",
    "SubmitTaskStateChangeRequest.attachments": "is acknowledged: tasks have no attachments here",
    "Volume.configuredAtLaunch": _NEVER_RUN,
    "Volume.fsxWindowsFileServerVolumeConfiguration": _NEVER_RUN,
    "Volume.s3filesVolumeConfiguration": _NEVER_RUN,
    "UpdateServiceRequest.monitoring": "is kept and shown; metrics have one resolution",
    "UpdateServiceRequest.platformVersion": _PLATFORM,
}
"""Members from which nothing follows, and the rest of a sentence that begins with the member."""


NOTES: dict[str, str] = {
    "ContinueServiceDeployment": "no deployment waits at a hook, since hooks are refused",
    "ExecuteCommand": (
        "a request is checked as on ECS and then answered with TargetNotConnectedException: agents take no "
        "commands"
    ),
    "ListServicesByNamespace": "the list is empty, since Service Connect is refused",
    "UpdateContainerAgent": "NoUpdateAvailableException: agents are updated with their hosts",
}
"""Operations that answer as ECS does in the one case that there is here."""


def members() -> dict[str, str]:
    """Every input member of the operations that are here, as `Structure.member`, with an operation that takes
    it."""
    found: dict[str, str] = {}
    for operation in IMPLEMENTED:
        for member in _members(ecs_model().operation_model(operation).input_shape, found):
            found[member] = operation
    return found


def _members(shape: Any, found: dict[str, str]) -> Iterator[str]:
    match shape.type_name:
        case "structure":
            for name, inner in shape.members.items():
                member = f"{shape.name}.{name}"
                if member not in found:
                    yield member
                    yield from _members(inner, found)
        case "list":
            yield from _members(shape.member, found)
        case "map":
            yield from _members(shape.value, found)


def sample(shape: Any) -> Any:
    """A value of a shape with every member, as far as they go together."""
    match shape.type_name:
        case "structure":
            names = list(shape.members)
            chosen = names[:1] if getattr(shape, "is_tagged_union", False) else names
            return {name: sample(shape.members[name]) for name in chosen}
        case "list":
            return [sample(shape.member)]
        case "map":
            return {"x": sample(shape.value)}
        case "string":
            return shape.enum[0] if shape.enum else "x"
        case "boolean":
            return True
        case "integer" | "long":
            return int(shape.metadata.get("min", 1)) or 1
        case "double" | "float" | "timestamp":
            return 1.0
        case kind:
            raise AssertionError(f"no sample of type {kind}")
