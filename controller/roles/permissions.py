"""What a role may permit: operations of ECS by name, and two sets of them.

Whatever a role permits, it permits in the cluster of the task that uses it and nowhere else. Task definitions
belong to no cluster; they are the one thing that tasks of all clusters share. So only operations are listed
of which it is known how they name their cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

Scope = Literal["cluster", "clusters", "arns", "arn", "none"]
"""How an operation says which cluster it concerns: by the member `cluster`, by the list `clusters`, by the
ARNs of a list or of one member, or not at all, because what it works on belongs to no cluster."""

_READING: dict[str, Scope] = {
    "DescribeClusters": "clusters",
    "DescribeContainerInstances": "cluster",
    "DescribeServiceDeployments": "arns",
    "DescribeServiceRevisions": "arns",
    "DescribeServices": "cluster",
    "DescribeTaskDefinition": "none",
    "DescribeTaskSets": "cluster",
    "DescribeTasks": "cluster",
    "GetTaskProtection": "cluster",
    "ListAttributes": "cluster",
    "ListContainerInstances": "cluster",
    "ListServiceDeployments": "cluster",
    "ListServices": "cluster",
    "ListTagsForResource": "arn",
    "ListTaskDefinitionFamilies": "none",
    "ListTaskDefinitions": "none",
    "ListTasks": "cluster",
}
_DEPLOYING: dict[str, Scope] = {
    "CreateService": "cluster",
    "CreateTaskSet": "cluster",
    "DeleteService": "cluster",
    "DeleteTaskSet": "cluster",
    "DeregisterTaskDefinition": "none",
    "RegisterTaskDefinition": "none",
    "RunTask": "cluster",
    "StopServiceDeployment": "arn",
    "StopTask": "cluster",
    "TagResource": "arn",
    "UntagResource": "arn",
    "UpdateService": "cluster",
    "UpdateServicePrimaryTaskSet": "cluster",
    "UpdateTaskProtection": "cluster",
    "UpdateTaskSet": "cluster",
}
_OPERATING: dict[str, Scope] = {
    "DeleteAttributes": "cluster",
    "PutAttributes": "cluster",
    "StartTask": "cluster",
    "UpdateContainerInstancesState": "cluster",
}

SCOPES: Mapping[str, Scope] = _READING | _DEPLOYING | _OPERATING
"""Every operation that a role can permit, with how it names its cluster."""

ARN_MEMBERS = {
    "DescribeServiceDeployments": "serviceDeploymentArns",
    "DescribeServiceRevisions": "serviceRevisionArns",
    "ListTagsForResource": "resourceArn",
    "StopServiceDeployment": "serviceDeploymentArn",
    "TagResource": "resourceArn",
    "UntagResource": "resourceArn",
}
"""The member that holds the ARNs of operations that name their cluster that way."""

SETS: Mapping[str, frozenset[str]] = {
    "viewer": frozenset(_READING),
    "deployer": frozenset(_READING | _DEPLOYING),
}
"""`viewer` sees what is in the cluster; `deployer` runs, changes and ends tasks and services in it, too."""


def unknown_permissions(allowed: Iterable[str]) -> list[str]:
    """Those of `allowed` that are neither a set nor an operation that a role can permit."""
    return [name for name in allowed if name not in SETS and name not in SCOPES]


def permitted(allowed: Iterable[str]) -> frozenset[str]:
    """The operations that a role's sets and operations add up to."""
    return frozenset().union(*(SETS.get(name, {name}) for name in allowed))
