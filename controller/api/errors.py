"""Errors as ECS clients know them. A handler raises one; the front door makes an answer of it."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """An answer that is an error. Clients see `code` (as `__type`), `message` and what is in `extra`."""

    status = 400

    def __init__(self, message: str, *, code: str = "", extra: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code or type(self).__name__
        self.message = message
        self.extra = extra or {}


class AccessDeniedException(ApiError):
    """The caller is known but may not do this."""


class AttributeLimitExceededException(ApiError):
    """More custom attributes than a container instance can have."""


class ClientException(ApiError):
    """A bad identifier, or a thing in the wrong state; every problem of a task definition."""


class ClusterContainsContainerInstancesException(ApiError):
    """The cluster to delete still has instances."""

    def __init__(
        self,
        message: str = "The Cluster cannot be deleted while Container Instances are active or draining.",
    ) -> None:
        super().__init__(message)


class ClusterContainsServicesException(ApiError):
    """The cluster to delete still has services."""

    def __init__(self, message: str = "The Cluster cannot be deleted while Services are active.") -> None:
        super().__init__(message)


class ClusterContainsTasksException(ApiError):
    """The cluster to delete still has tasks."""

    def __init__(self, message: str = "The Cluster cannot be deleted while Tasks are active.") -> None:
        super().__init__(message)


class ClusterNotFoundException(ApiError):
    """No such cluster, or an INACTIVE one."""

    def __init__(self, message: str = "Cluster not found.") -> None:
        super().__init__(message)


class ConflictException(ApiError):
    """A client token used for two different requests; names the tasks of the first."""

    def __init__(self, message: str, resource_ids: list[str] | None = None) -> None:
        super().__init__(message, extra={"resourceIds": resource_ids or []})


class ExpiredTokenException(ApiError):
    """Temporary credentials that have ended."""

    def __init__(self, message: str = "The security token included in the request is expired") -> None:
        super().__init__(message)


class IncompleteSignatureException(ApiError):
    """A signature that lacks a part."""


class InvalidParameterException(ApiError):
    """A bad value, or values that do not go together."""


class InvalidSignatureException(ApiError):
    """A signature that does not match, or is out of time."""

    status = 403


class LimitExceededException(ApiError):
    """A quota is used up."""


class MissingAuthenticationTokenException(ApiError):
    """A request without a signature."""

    status = 403

    def __init__(self, message: str = "Missing Authentication Token") -> None:
        super().__init__(message)


class MissingVersionException(ApiError):
    """The version of the instance's agent is not known."""


class NoUpdateAvailableException(ApiError):
    """There is no newer agent to update to."""


class NamespaceNotFoundException(ApiError):
    """No such namespace."""

    def __init__(self, message: str = "The specified namespace was not found.") -> None:
        super().__init__(message)


class PlatformTaskDefinitionIncompatibilityException(ApiError):
    """The platform version lacks what the task definition needs."""


class PlatformUnknownException(ApiError):
    """No such platform version."""

    def __init__(self, message: str = "The specified platform version does not exist.") -> None:
        super().__init__(message)


class ResourceInUseException(ApiError):
    """A capacity provider to remove is used by a service or a task."""

    def __init__(
        self, message: str = "The specified capacity provider is in use and cannot be removed."
    ) -> None:
        super().__init__(message)


class ResourceNotFoundException(ApiError):
    """The resource that an ARN names does not exist."""


class SerializationException(ApiError):
    """The body is not the JSON that the operation takes."""


class ServerException(ApiError):
    """Not the caller's fault; clients try again."""

    status = 500


class ServiceDeploymentNotFoundException(ApiError):
    """No such service deployment."""

    def __init__(self, message: str = "The service deployment was not found.") -> None:
        super().__init__(message)


class ServiceNotActiveException(ApiError):
    """The service is DRAINING or INACTIVE."""

    def __init__(self, message: str = "Service was not ACTIVE.") -> None:
        super().__init__(message)


class ServiceNotFoundException(ApiError):
    """No such service in the cluster."""

    def __init__(self, message: str = "Service not found.") -> None:
        super().__init__(message)


class TargetNotConnectedException(ApiError):
    """The container takes no commands now."""


class TargetNotFoundException(ApiError):
    """The container instance that an attribute names does not exist."""


class TaskSetNotFoundException(ApiError):
    """No such task set in the service."""

    def __init__(self, message: str = "The specified task set does not exist.") -> None:
        super().__init__(message)


class ThrottlingException(ApiError):
    """Too much at once; clients slow down and try again."""

    def __init__(self, message: str = "Rate exceeded") -> None:
        super().__init__(message)


class UnknownOperationException(ApiError):
    """The service has no operation of this name."""


class UnrecognizedClientException(ApiError):
    """The access key is unknown or disabled."""

    def __init__(self, message: str = "The security token included in the request is invalid.") -> None:
        super().__init__(message)


class UnsupportedFeatureException(ApiError):
    """Not on this controller; the message names the feature and what to use instead."""


class UpdateInProgressException(ApiError):
    """The thing is being changed already."""
