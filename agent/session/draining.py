"""Taking this machine out of placement: what UpdateContainerInstancesState does for one's own instance."""

from agent.session.api import ApiError, ControlPlaneClient


async def drain(client: ControlPlaneClient, cluster: str, container_instance_arn: str) -> None:
    """Set the container instance to DRAINING; the controller then moves its service tasks elsewhere.

    Raises ``ApiError`` or ``Unreachable``.
    """
    operation = "UpdateContainerInstancesState"
    request = {"cluster": cluster, "containerInstances": [container_instance_arn], "status": "DRAINING"}
    answer = await client.call(operation, request)
    for failure in answer.get("failures") or ():
        raise ApiError(operation, str(failure.get("reason")), str(failure.get("detail") or ""), 200)
