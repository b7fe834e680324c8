"""ListServiceDeployments, DescribeServiceDeployments and DescribeServiceRevisions.

Deployments that have left their service are found in the history, for as long as it is kept.
"""

from __future__ import annotations

from controller.api.context import RequestContext
from controller.api.errors import InvalidParameterException
from controller.api.identifiers import is_ours, missing, parse_arn
from controller.api.operations.services.finding import named_service
from controller.api.paging import page
from controller.api.render.service_deployment import (
    render_brief,
    render_service_deployment,
    render_service_revision,
)
from controller.services.revisions import status_of
from controller.state.entities import Deployment, Document, deployment_key
from controller.state.indexes import DEPLOYMENTS_OF_SERVICE

DEFAULT_PAGE_SIZE = 20
LARGEST_PAGE_SIZE = 100
MAX_DESCRIBED = 20
MAX_LISTED_FROM_HISTORY = 1000
"""Ended deployments of one service that are listed; any that the history keeps can be described."""

SERVICE_DEPLOYMENT = "service-deployment"
SERVICE_REVISION = "service-revision"


async def list_service_deployments(context: RequestContext, request: Document) -> Document:
    """Deployments of a service, newest first; those of an earlier service of its name are not its."""
    service = named_service(context, request)
    earlier = await context.state.history.ended_deployments(service.key, MAX_LISTED_FROM_HISTORY)
    found = {item.id: item for item in earlier}
    found |= {item.id: item for item in context.read.select(DEPLOYMENTS_OF_SERVICE, service.key).values()}
    by_key = {
        _sort_key(item): item
        for item in found.values()
        if item.created_at >= service.created_at and _passes(item, request)
    }
    keys, token = page(
        by_key,
        request.get("nextToken"),
        request.get("maxResults"),
        default=DEFAULT_PAGE_SIZE,
        maximum=LARGEST_PAGE_SIZE,
        operation="ListServiceDeployments",
        descending=True,
    )
    answer: Document = {"serviceDeployments": [render_brief(by_key[key], context.read) for key in keys]}
    if token is not None:
        answer["nextToken"] = token
    return answer


async def describe_service_deployments(context: RequestContext, request: Document) -> Document:
    """Service deployments by their ARNs, each once; those that nobody knows are failures."""
    found, failures = await _described(context, request["serviceDeploymentArns"], SERVICE_DEPLOYMENT)
    shown = [render_service_deployment(item, context.read) for item in found]
    return {"serviceDeployments": shown, "failures": failures}


async def describe_service_revisions(context: RequestContext, request: Document) -> Document:
    """Service revisions by their ARNs, each once; those that nobody knows are failures."""
    found, failures = await _described(context, request["serviceRevisionArns"], SERVICE_REVISION)
    return {
        "serviceRevisions": [render_service_revision(item, context.read) for item in found],
        "failures": failures,
    }


async def find_deployment(context: RequestContext, arn: str, kind: str) -> Deployment | None:
    """The deployment that the ARN of a service deployment or of its revision means, ended ones too.

    Raises:
        InvalidParameterException: it is no ARN of that kind.
    """
    key = _key(context, arn, kind)
    if key is None:
        return None
    return context.read.get(Deployment, key) or await context.state.history.ended_deployment(key)


async def _described(
    context: RequestContext, arns: list[str], kind: str
) -> tuple[list[Deployment], list[Document]]:
    if not arns:
        raise InvalidParameterException(f"The list of {kind} ARNs cannot be empty.")
    if len(arns) > MAX_DESCRIBED:
        raise InvalidParameterException(f"The list of {kind} ARNs cannot exceed {MAX_DESCRIBED} items.")
    found, failures = [], []
    for arn in dict.fromkeys(arns):
        deployment = await find_deployment(context, arn, kind)
        if deployment is None:
            failures.append(missing(arn))
        else:
            found.append(deployment)
    return found, failures


def _key(context: RequestContext, value: str, kind: str) -> str | None:
    """Key of the deployment that an ARN names; None for another account's or region's."""
    arn = parse_arn(value)
    type_, *parts = arn.resource.split("/")
    if type_ != kind or len(parts) != 3 or not all(parts):
        raise InvalidParameterException(f"Invalid identifier: {value} is not the ARN of a {kind}.")
    cluster, service, number = parts
    return deployment_key(cluster, service, f"ecs-svc/{number}") if is_ours(context, arn) else None


def _sort_key(deployment: Deployment) -> str:
    return f"{deployment.created_at:020.6f} {deployment.id}"


def _passes(deployment: Deployment, request: Document) -> bool:
    created = request.get("createdAt", {})
    statuses = request.get("status")
    return (
        (not statuses or status_of(deployment) in statuses)
        and deployment.created_at > created.get("after", float("-inf"))
        and deployment.created_at < created.get("before", float("inf"))
    )
