"""Log routers (FireLens) on this host: their configuration and their socket, in files below the agent's data
directory, and what that changes in the create calls of a task's containers.
"""

import asyncio
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.engine import firelens
from agent.engine.book import TaskRecord
from agent.engine.docker import Docker
from agent.engine.errors import ResourceInitializationError
from agent.protocol import acs
from agent.protocol.arn import last_segment

_LONGEST_SOCKET_PATH = 107
_ASYNC_SINCE = 20


class LogRouters:
    """Makes their files, and ties containers to them."""

    def __init__(self, docker: Docker, data_dir: Path, *, wait: bool = False) -> None:
        """The engine has to see ``data_dir`` at the same place. With ``wait`` no container starts before its
        router answers.
        """
        self._docker = docker
        self._root = data_dir.resolve() / "firelens"
        self._async_option = "fluentd-async"
        self._async = "false" if wait else "true"

    def open(self, info: Mapping[str, Any]) -> None:
        """Learn from the engine's answer to ``/info`` what it calls its options."""
        major = str(info.get("ServerVersion") or "").partition(".")[0]
        if major.isdigit() and int(major) < _ASYNC_SINCE:
            self._async_option = "fluentd-async-connect"

    async def prepare(self, task: acs.Task) -> None:
        """Write what the task's router needs before it starts. Raises ``ResourceInitializationError``."""
        router = firelens.router_of(task)
        if router is None:
            return
        if len(os.fsencode(self._socket(task))) > _LONGEST_SOCKET_PATH:
            raise ResourceInitializationError(
                f"the path of the log router's socket is longer than {_LONGEST_SOCKET_PATH} bytes: "
                f"{self._socket(task)}; give the agent a data directory with a shorter path"
            )
        try:
            await asyncio.to_thread(self._write, task, router)
        except OSError as error:
            raise ResourceInitializationError(f"the log router's files could not be made: {error}") from error

    async def apply(self, record: TaskRecord, container: acs.Container, body: dict[str, Any]) -> None:
        """Change a container's create call: the router gets its files, those who log through it its socket
        and its address. Raises ``EngineError``.
        """
        task = record.definition
        router = firelens.router_of(task)
        if router is None:
            return
        host_config: dict[str, Any] = body["HostConfig"]
        if container.name == router.name:
            config, socket = self._config(task), self._socket(task).parent
            host_config["Binds"] = [
                *(host_config.get("Binds") or ()),
                f"{config}:{firelens.config_path(router)}",
                f"{socket}:/var/run/",
            ]
            return
        options = firelens.log_options(container)
        if options is not None:
            host_config["LogConfig"] = {
                "Type": "fluentd",
                "Config": self._driver_options(task, container, options),
            }
            if address := await self._address(record, router):
                body["Env"] = [*body["Env"], f"FLUENT_HOST={address}", f"FLUENT_PORT={firelens.PORT}"]

    async def remove(self, task_arn: str) -> None:
        """Remove a task's files; none are no error."""
        await asyncio.to_thread(shutil.rmtree, self._root / last_segment(task_arn), ignore_errors=True)

    def _driver_options(
        self, task: acs.Task, container: acs.Container, options: Mapping[str, str]
    ) -> dict[str, str]:
        driver = {
            "tag": firelens.tag(task, container),
            "fluentd-address": f"unix://{self._socket(task)}",
            "fluentd-sub-second-precision": "true",
            self._async_option: self._async,
        }
        if limit := options.get(firelens.BUFFER_LIMIT_OPTION):
            driver["fluentd-buffer-limit"] = limit
        return driver

    async def _address(self, record: TaskRecord, router: acs.Container) -> str | None:
        """Where containers reach the router over the network; None where they cannot."""
        mode = record.definition.network_mode or "bridge"
        if mode == "awsvpc":
            return "127.0.0.1"
        if mode != "bridge":
            return None
        seen = await self._docker.inspect(record.docker_name(router.name or ""))
        return None if seen.network_interface is None else seen.network_interface.private_ipv4_address

    def _write(self, task: acs.Task, router: acs.Container) -> None:
        config, socket = self._config(task), self._socket(task).parent
        # Nobody else on this host comes in here; containers do, to what is mounted into them.
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for directory in (config.parent, socket):
            directory.mkdir(parents=True, exist_ok=True)
        config.write_text(firelens.router_config(task, router))
        config.chmod(0o644)
        socket.chmod(0o777)  # whatever user the router's image has

    def _config(self, task: acs.Task) -> Path:
        return self._root / last_segment(task.arn or "") / "config" / "fluent.conf"

    def _socket(self, task: acs.Task) -> Path:
        return self._root / last_segment(task.arn or "") / "socket" / "fluent.sock"
