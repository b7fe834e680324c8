"""Keeps the agent reachable for tasks at 169.254.170.2: installs the netfilter rules, looks after them, takes
them away.

One agent of a network namespace owns the address, for as long as it lives. Another one says so and goes
without: its tasks do not get the environment variables that name the address. So does an agent that may not,
or cannot, change netfilter's rules, or that finds somebody else's rules for the address.
"""

import asyncio
import os
import shutil
import socket
import subprocess
from pathlib import Path

import structlog

from agent.config_values import Address
from agent.endpoints.rules import (
    LOCALNET_MARK,
    TASK_ADDRESS,
    Saved,
    default_interfaces,
    installation,
    parse_saved,
    removal,
)
from agent.engine.lanes import Lane

log = structlog.get_logger(__name__)

LOOK_AFTER_S = 10.0
"""A look takes two milliseconds of CPU time, and more where the engine has hundreds of rules."""
_COMMAND_S = 30.0
_LOCK_WAIT_S = 5
_OWNER = "\0homeport-task-address"
"""An abstract socket: the kernel has one of a name per network namespace, and frees it with its owner."""
_ROUTE_LOCALNET = Path("/proc/sys/net/ipv4/conf/all/route_localnet")
_ROUTES = Path("/proc/net/route")
_ADMIN_PATH = os.pathsep + os.pathsep.join(("/usr/sbin", "/sbin"))


class RulesError(Exception):
    """The rules cannot be read or changed; the message says why."""


class ForeignRuleError(RulesError):
    """Somebody else has a rule for the address."""


class TaskAddress:
    """The address at which tasks find the agent."""

    def __init__(self, mode: str, listens_at: Address) -> None:
        """``mode`` is ``install`` where the rules are ours to make, ``present`` where the operator has made
        rules, ``off`` where tasks are not told of the address.
        """
        self._mode = mode
        self._listens_at = listens_at
        self._lane = Lane("task-address", 1)
        self._ownership: socket.socket | None = None
        self._in_force: tuple[str, ...] | None = None
        self._outside: tuple[str, ...] = ()
        self._trouble = ""

    @property
    def reachable(self) -> bool:
        """Whether a container that is created now can count on the address."""
        return self._mode == "present" or self._in_force is not None

    async def open(self) -> None:
        """Put the rules in force if that is ours to do; if it is not, or fails, the log says so."""
        if self._mode != "install":
            log.info("task_address", mode=self._mode, address=TASK_ADDRESS)
            return
        reason = self._why_not() or self._own()
        if not reason:
            try:
                await self._lane.call(self._restore)
            except ForeignRuleError as error:
                reason = str(error)
            except RulesError as error:
                self._say_trouble(str(error))
                return  # tried again while the agent runs
        if reason:
            self._disown()
            log.warning("task_address_left_to_others", address=TASK_ADDRESS, reason=reason)
        else:
            log.info("task_address_reachable", address=TASK_ADDRESS, leads_to=str(self._listens_at))

    async def run(self) -> None:
        """Look after the rules for ever: whatever flushes or changes them, they are back soon."""
        while True:
            await asyncio.sleep(LOOK_AFTER_S)
            if self._ownership is not None:
                await self.look_after()

    async def look_after(self) -> None:
        """Put right what has been changed since the last look."""
        try:
            if await self._lane.call(self._restore):
                log.warning("task_address_rules_restored", address=TASK_ADDRESS)
                self._trouble = ""
        except RulesError as error:
            self._in_force = None
            self._say_trouble(str(error))

    def _say_trouble(self, reason: str) -> None:
        """Once, and not at every look."""
        if reason != self._trouble:
            self._trouble = reason
            log.warning(
                "task_address_not_reachable",
                address=TASK_ADDRESS,
                reason=reason,
                consequence="new tasks go without metadata and credentials",
            )

    async def close(self, *, in_use: bool) -> None:
        """Take the rules away, unless containers that run on are ``in_use`` of them.

        For those the rules stay until the next start of the agent: their attempts are refused at once
        then, and do not hang.
        """
        if self._ownership is not None and not in_use:
            try:
                await self._lane.call(self._remove)
            except RulesError as error:
                log.warning("task_address_rules_left", address=TASK_ADDRESS, reason=str(error))
        self._disown()
        await self._lane.close()

    # --- whose it is ------------------------------------------------------------------------------------

    def _why_not(self) -> str:
        if os.geteuid() != 0:
            return "only root may change netfilter's rules"
        if self._listens_at.port == 0 or ":" in self._listens_at.host:
            return f"rules cannot lead to {self._listens_at}: they need an IPv4 address and a fixed port"
        if not all(_find(command) for command in ("iptables-save", "iptables-restore")):
            return "iptables is not installed"
        return ""

    def _own(self) -> str:
        self._ownership = _take_ownership()
        return "" if self._ownership else "another agent on this host has it; tasks of this one go without"

    def _disown(self) -> None:
        if self._ownership is not None:
            self._ownership.close()
            self._ownership = None

    # --- what blocks ------------------------------------------------------------------------------------

    def _restore(self) -> bool:
        """Whether something had to be put right, or put there for the first time."""
        saved = _save()
        if saved.ours() == self._in_force and _localnet_is_on() and self._outside == _outside():
            return False
        if foreign := saved.foreign():
            raise ForeignRuleError(f"there is a rule of somebody else's for it: {foreign}")
        self._install(saved)
        return True

    def _install(self, saved: Saved) -> None:
        was_on = _localnet_is_on()
        self._outside = _outside()
        host = "127.0.0.1" if self._listens_at.host in ("0.0.0.0", "localhost") else self._listens_at.host
        script = installation(saved, host, self._listens_at.port, self._outside, mark_localnet=not was_on)
        _run("iptables-restore", "--noflush", "--wait", str(_LOCK_WAIT_S), text=script)
        if not was_on:
            _set_localnet(on=True)  # only now that nobody can misuse it
        self._in_force = _save().ours()

    def _remove(self) -> None:
        _remove_rules()
        self._in_force = None


def release() -> str:
    """Take the rules away that an agent has left behind. Returns why not, if so: an agent owns them.

    Blocks. Raises ``RulesError``.
    """
    if os.geteuid() != 0 or _find("iptables-save") is None:
        return ""  # an agent could not have made any
    ownership = _take_ownership()
    if ownership is None:
        return "an agent that runs on this host has them"
    with ownership:
        _remove_rules()
    return ""


def _take_ownership() -> socket.socket | None:
    owner = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        owner.bind(_OWNER)
    except OSError:
        owner.close()
        return None
    return owner


def _remove_rules() -> None:
    saved = _save()
    if LOCALNET_MARK in saved.chains("filter"):
        _set_localnet(on=False)
    if script := removal(saved):
        _run("iptables-restore", "--noflush", "--wait", str(_LOCK_WAIT_S), text=script)


def _save() -> Saved:
    return parse_saved(_run("iptables-save"))


def _outside() -> tuple[str, ...]:
    try:
        return default_interfaces(_ROUTES.read_text())
    except OSError as error:
        raise RulesError(f"the routes cannot be read: {error}") from error


def _localnet_is_on() -> bool:
    try:
        return _ROUTE_LOCALNET.read_text().strip() == "1"
    except OSError as error:
        raise RulesError(f"{_ROUTE_LOCALNET} cannot be read: {error}") from error


def _set_localnet(*, on: bool) -> None:
    try:
        _ROUTE_LOCALNET.write_text("1" if on else "0")
    except OSError as error:
        raise RulesError(f"{_ROUTE_LOCALNET} cannot be set: {error}") from error


def _find(command: str) -> str | None:
    return shutil.which(command, path=os.environ.get("PATH", os.defpath) + _ADMIN_PATH)


def _run(command: str, *arguments: str, text: str = "") -> str:
    try:
        done = subprocess.run(
            [_find(command) or command, *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=_COMMAND_S,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise RulesError(f"{command}: {error.stderr.strip()}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RulesError(f"{command}: {error}") from error
    return done.stdout
