"""Why tasks found no place, in ECS's words and in ours."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from controller.scheduler.seats import Refusal

NO_INSTANCES = "No Container Instances were found in your cluster."
NO_INSTANCES_OF_PROVIDER = "No Container Instances were found in your capacity provider."

_CLOSEST_LACKS = {
    "RESOURCE:CPU": "has insufficient CPU units available.",
    "RESOURCE:MEMORY": "has insufficient memory available.",
    "RESOURCE:DISK": "has a disk that is too full for further tasks.",
    "RESOURCE:PORTS": "is already using a port required by your task.",
    "RESOURCE:PORTS_UDP": "is already using a port required by your task.",
    "ATTRIBUTE": "is missing an attribute required by your task.",
}
"""ECS's wording by reason; every other reason is quoted as an error."""

_ROOM_REASONS = frozenset({"DistinctInstance placement constraint unsatisfied."})
_NOT_IN_SERVICE = frozenset({"DRAINING", "INACTIVE"})


class Explanation(msgspec.Struct, frozen=True):
    """A placement failure: how many instances refused for which reason, and the nearest miss."""

    sentence: str
    """ECS's words, as in service events after `(service X) `."""
    histogram: str
    """Ours: instances by reason, each with its nearest miss; empty when there were no instances."""
    counts: tuple[tuple[str, int], ...]
    """Reasons and how many instances gave them, most frequent first."""
    closest: Refusal | None
    """The instance that came nearest."""

    @property
    def cause(self) -> str:
        """What tells this failure from another one: the reason of the nearest miss."""
        return self.closest.reason if self.closest else NO_INSTANCES

    @property
    def room_would_help(self) -> bool:
        """Whether the end of some task could make a place: not if what is missing is an agent, an
        attribute or space on the disk."""
        return any(
            (reason.startswith("RESOURCE:") and reason != "RESOURCE:DISK") or reason in _ROOM_REASONS
            for reason, _ in self.counts
        )


def explain(refusals: Sequence[Refusal]) -> Explanation:
    """The explanation of a plan's shortfall from its refusals. Instances on their way out do not count."""
    asked = [refusal for refusal in refusals if refusal.reason not in _NOT_IN_SERVICE]
    nearest: dict[str, Refusal] = {}
    numbers: dict[str, int] = {}
    for refusal in asked:
        numbers[refusal.reason] = numbers.get(refusal.reason, 0) + 1
        best = nearest.get(refusal.reason)
        if best is None or refusal.shortage < best.shortage:
            nearest[refusal.reason] = refusal
    closest = min(nearest.values(), key=lambda refusal: (-refusal.passed, refusal.shortage), default=None)
    counts = tuple(sorted(numbers.items(), key=lambda item: (-item[1], item[0])))
    return Explanation(
        "was unable to place a task because no container instance met all of its requirements. "
        + _reason_sentence(closest),
        _histogram(counts, nearest),
        counts,
        closest,
    )


def _reason_sentence(closest: Refusal | None) -> str:
    if closest is None:
        return f"Reason: {NO_INSTANCES}"
    lacks = _CLOSEST_LACKS.get(closest.reason, f'encountered error "{closest.reason}".')
    return f"The closest matching (container-instance {closest.instance_id}) {lacks}"


def _histogram(counts: tuple[tuple[str, int], ...], nearest: dict[str, Refusal]) -> str:
    if not counts:
        return ""
    total = sum(number for _, number in counts)
    parts = [
        f"{number} {reason.rstrip('.')} ({'' if number == 1 else 'nearest: '}{nearest[reason].detail})"
        for reason, number in counts
    ]
    return f"{total} instance{'' if total == 1 else 's'} refused: {', '.join(parts)}."
