"""The contacts with all agents: their signs of life, and what is booked of them in the state."""

from __future__ import annotations

from typing import Any

import structlog
from msgspec.structs import replace

from agent.protocol.clock import Clock
from agent.protocol.extensions import InstanceDiskMessage
from controller.gateway.liveness import Contact, heartbeat_interval, is_connected, is_dead
from controller.state.changes import Cause
from controller.state.entities import ContainerInstance, InstanceConnection, instance_key
from controller.state.kernel import State

log = structlog.get_logger(__name__)

SWEEP_INTERVAL_S = 0.5
"""Seconds between looks at all contacts; a disconnection is noticed that much late at most."""

STALL_S = 1.0
"""A look that comes this much late shows that the whole process stood still."""


class Contacts:
    """Signs of life by instance key, and the InstanceConnection records that follow from them."""

    def __init__(self, state: State, clock: Clock, base_interval_s: float) -> None:
        self._state = state
        self._clock = clock
        self._base_interval_s = base_interval_s
        self._contacts: dict[str, Contact] = {}
        self._open = 0
        self._synchronising: set[str] = set()
        self._resumed_at = clock.monotonic()
        self._swept_at = self._resumed_at

    @property
    def target_interval_s(self) -> float:
        """The heartbeat interval that the present number of connections asks for."""
        return heartbeat_interval(self._base_interval_s, self._open)

    @property
    def synchronising(self) -> int:
        """How many agents are connected of which it is unknown what they run."""
        return len(self._synchronising)

    def of(self, cluster: str, instance_id: str) -> Contact:
        """The contact with an instance, from its first sign of life on."""
        key = instance_key(cluster, instance_id)
        contact = self._contacts.get(key)
        if contact is None:
            contact = self._contacts[key] = Contact(self._clock.monotonic(), self._base_interval_s)
        return contact

    def last_sign(self, cluster: str, instance_id: str) -> float | None:
        """Monotonic time of the last sign of life; None if there was none since this process started."""
        contact = self._contacts.get(instance_key(cluster, instance_id))
        return None if contact is None else contact.last_sign

    def sign(self, cluster: str, instance_id: str) -> None:
        """Note a call of the instance's agent."""
        self.of(cluster, instance_id).last_sign = self._clock.monotonic()

    def opened(self, instance: ContainerInstance) -> Contact:
        """Note a new ACS connection. What is on the instance is unknown until the agent has told."""
        contact = self.of(instance.cluster, instance.id)
        contact.last_sign = self._clock.monotonic()
        contact.interval_s = self.target_interval_s
        contact.host_down = False
        if not contact.opened:
            contact.opened = True
            self._open += 1
        self._synchronising.add(instance.key)
        self._book(instance.cluster, instance.id, connected=True, synchronised=False, clock_skew_s=0.0)
        return contact

    def closed(self, cluster: str, instance_id: str) -> None:
        """Note the end of the instance's only ACS connection; a moment is left for it to come back."""
        contact = self._contacts.get(instance_key(cluster, instance_id))
        if contact is None:
            return
        if contact.opened:
            contact.opened = False
            self._open -= 1
        self._synchronising.discard(instance_key(cluster, instance_id))
        contact.closed_at = self._clock.monotonic()

    def host_down(self, cluster: str, instance_id: str) -> None:
        """The agent said that its host goes down: it is gone at once."""
        self.of(cluster, instance_id).host_down = True
        self._book(cluster, instance_id, connected=False)

    def synchronised(self, cluster: str, instance_id: str) -> None:
        """The agent has told all its tasks."""
        self._synchronising.discard(instance_key(cluster, instance_id))
        self._book(cluster, instance_id, synchronised=True)

    def skewed(self, cluster: str, instance_id: str, skew_s: float) -> None:
        """A genuine signature of another time: the agent lives, and its clock is off."""
        self.sign(cluster, instance_id)
        self._book(cluster, instance_id, clock_skew_s=skew_s)

    def runtime_status(self, cluster: str, instance_id: str, status: str) -> None:
        """What the agent says about its container runtime."""
        self._book(cluster, instance_id, runtime_status=status)

    def disks(self, cluster: str, instance_id: str, message: InstanceDiskMessage) -> None:
        """What the agent says about its disks."""
        self._book(cluster, instance_id, disk_status=message.status, disk_reason=message.reason)

    def forget(self, cluster: str, instance_id: str) -> None:
        """Drop the contact with an instance that is no more."""
        key = instance_key(cluster, instance_id)
        contact = self._contacts.pop(key, None)
        self._synchronising.discard(key)
        if contact is not None and contact.opened:
            self._open -= 1
        with self._state.transaction(Cause(kind="decision", id="deregistered")) as tx:
            tx.delete(InstanceConnection, key)

    def resume(self) -> None:
        """Begin to listen: until now nobody could be heard."""
        self._resumed_at = self._swept_at = self._clock.monotonic()

    def sweep(self) -> list[str]:
        """Look at all contacts: book who is connected, and return the keys of those whose connection is to be
        cut."""
        now = self._clock.monotonic()
        if now - self._swept_at > SWEEP_INTERVAL_S + STALL_S:
            log.warning("listening_again_after_a_stall", stalled_for_s=round(now - self._swept_at, 1))
            self._resumed_at = now
        self._swept_at = now
        read = self._state.read()
        changed = []
        for key, contact in self._contacts.items():
            booked = read.get(InstanceConnection, key)
            connected = is_connected(contact, now, self._resumed_at)
            if booked is not None and booked.connected != connected:
                changed.append(replace(booked, connected=connected, changed_at=self._clock.now()))
        if changed:
            self._put(changed)
        return [key for key, contact in self._contacts.items() if is_dead(contact, now, self._resumed_at)]

    def _put(self, connections: list[InstanceConnection]) -> None:
        with self._state.transaction(Cause(kind="timer", id="signs-of-life")) as tx:
            for connection in connections:
                tx.put(connection)
        for connection in connections:
            log.info(
                "agent_connected" if connection.connected else "agent_disconnected",
                cluster=connection.cluster,
                instance=connection.id,
            )

    def _book(self, cluster: str, instance_id: str, **changes: Any) -> None:
        booked = self._state.read().get(InstanceConnection, instance_key(cluster, instance_id))
        before = booked or InstanceConnection(
            cluster=cluster, id=instance_id, connected=False, changed_at=self._clock.now()
        )
        after = replace(before, **changes)
        if after.connected != before.connected:
            after = replace(after, changed_at=self._clock.now())
        if after.runtime_status != before.runtime_status:
            after = replace(after, runtime_changed_at=self._clock.now())
        if after.disk_status != before.disk_status:
            after = replace(after, disk_changed_at=self._clock.now())
            log.info("instance_disks", instance=after.key, status=after.disk_status, reason=after.disk_reason)
        if after == booked:
            return
        caller = self._state.names.instance_id(cluster, instance_id)
        with self._state.transaction(Cause(kind="agent", caller=caller)) as tx:
            tx.put(after)
