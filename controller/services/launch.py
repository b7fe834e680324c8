"""What a service's new tasks are made of, and where the scheduler finds room for them."""

from __future__ import annotations

from collections import Counter
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from msgspec.structs import replace

from controller.scheduler.candidates import candidates_of
from controller.scheduler.capacity import distribute
from controller.scheduler.constraints import parse_constraints
from controller.scheduler.demand import demand_of
from controller.scheduler.explain import explain
from controller.scheduler.placement import PlacementRequest, place, place_for_providers
from controller.scheduler.strategies import parse_strategies
from controller.services.apply import Launched, service_group
from controller.services.balance import Place, Places
from controller.services.daemon import PlaceOn
from controller.services.revisions import settings_of
from controller.state.entities import Service, TaskDefinition, TaskOwner, task_definition_key
from controller.state.indexes import LIVE_TASKS_OF_SERVICE

if TYPE_CHECKING:
    from controller.state.kernel import Reader


class MissingTaskDefinition(Exception):
    """The task definition of a deployment or task set is gone from the store, though they keep theirs from
    being deleted."""

    def __init__(self, service: str, owner: TaskOwner) -> None:
        super().__init__(f"service {service}: {owner.family}:{owner.revision} of {owner.id} is gone")


class Launch:
    """What a service's starts would start, and the scheduler asked for it. Nothing is read unless something
    starts."""

    def __init__(self, read: Reader, service: Service, random: Random) -> None:
        self._read = read
        self._service = service
        self._random = random
        self.launched: Launched | None = None
        """What was asked for last."""

    def place_for(self, owner: TaskOwner | None) -> Place:
        """Asks for places for tasks of a deployment or task set; a service without one has none."""
        return partial(self._places, owner)

    def place_on(self, owner: TaskOwner | None) -> PlaceOn:
        """Asks for a place for one task on each of some instances."""
        return lambda instances: self._places(owner, len(instances), instances)

    def _places(self, owner: TaskOwner | None, count: int, instances: frozenset[str] | None = None) -> Places:
        if owner is None:
            return Places()
        definition = self._read.get(TaskDefinition, task_definition_key(owner.family, owner.revision))
        if definition is None:
            raise MissingTaskDefinition(self._service.key, owner)
        service = self._service
        constraints = parse_constraints(
            (
                *service.options.get("placementConstraints", ()),
                *definition.document.get("placementConstraints", ()),
            )
        )
        demand = demand_of(definition, None)
        request = PlacementRequest(
            demand=demand,
            group=service_group(service),
            constraints=constraints,
            strategies=parse_strategies(service.options.get("placementStrategy", ())),
            count=count,
        )
        candidates = candidates_of(
            self._read, service.cluster, request.group, with_groups=constraints.asks_for_groups
        )
        if instances is not None:
            request = replace(request, constraints=replace(constraints, distinct_instance=True))
            candidates = [item for item in candidates if item.instance.id in instances]
        strategy = settings_of(owner, service).get("capacityProviderStrategy", ())
        if strategy:
            names = distribute(strategy, self._present(owner), count)
            plan, providers = place_for_providers(request, names, candidates, self._random)
        else:
            plan = place(request, candidates, self._random)
            providers = [""] * len(plan.placements)
        self.launched = Launched(definition, demand, tuple(providers))
        refusals = [
            item for item in plan.refusals if instances is None or item.instance_id not in plan.placements
        ]
        return Places(plan.placements, explain(refusals) if plan.shortfall else None)

    def _present(self, owner: TaskOwner) -> Counter[str]:
        """Tasks of a deployment or task set that are to run, by capacity provider."""
        tasks = self._read.select(LIVE_TASKS_OF_SERVICE, self._service.key).values()
        return Counter(
            task.options.get("capacityProviderName", "")
            for task in tasks
            if task.deployment == owner.id and task.desired_status == "RUNNING"
        )
