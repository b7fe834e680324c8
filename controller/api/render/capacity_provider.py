"""Capacity providers as the API shows them."""

from __future__ import annotations

from controller.api.capacity_providers import is_fargate
from controller.api.tags import render_tags
from controller.state.entities import CapacityProvider, Document
from controller.state.names import Names


def render_capacity_provider(provider: CapacityProvider, names: Names, *, with_tags: bool) -> Document:
    """A capacity provider; FARGATE and FARGATE_SPOT are their own types and have nothing to configure."""
    document: Document = {
        "capacityProviderArn": names.capacity_provider(provider.name),
        "name": provider.name,
        "status": provider.status,
        "tags": render_tags(provider.tags) if with_tags else [],
        "type": provider.name if is_fargate(provider.name) else "EC2_AUTOSCALING",
    }
    if not is_fargate(provider.name):
        document["autoScalingGroupProvider"] = provider.auto_scaling_group_provider
        document["updateStatus"] = provider.update_status
    return document
