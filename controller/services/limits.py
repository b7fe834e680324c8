"""How many tasks a service may have and must keep, from its percentages."""

from __future__ import annotations


def minimum_healthy(desired: int, percent: int) -> int:
    """Healthy tasks that the scheduler's own stops leave: minimumHealthyPercent, rounded up."""
    return -(-desired * percent // 100)


def maximum_live(desired: int, percent: int) -> int:
    """RUNNING and PENDING tasks that the scheduler's own starts do not exceed: maximumPercent, rounded
    down."""
    return desired * percent // 100


def cannot_roll(desired: int, minimum_percent: int, maximum_percent: int) -> bool:
    """Whether a service can neither start a new task before it stops an old one, nor the other way round.

    Its deployments and drains wait for ever; CreateService and UpdateService may warn of it.
    """
    return (
        desired > 0
        and maximum_live(desired, maximum_percent) <= desired
        and minimum_healthy(desired, minimum_percent) >= desired
    )
