"""The limit of containers' log files, where nobody has set one: without it a talkative container fills the
disk.
"""

from collections.abc import Mapping
from typing import Any

_DRIVER = "json-file"


class LogLimits:
    """How much a container may log by default. It concerns the log driver ``json-file`` only."""

    def __init__(self, max_size: str | None, max_files: int) -> None:
        """``max_size`` is a number with ``k``, ``m`` or ``g``; None sets no limit."""
        self._max_size = max_size
        self._max_files = max_files
        self._engines_driver = ""

    def learn(self, info: Mapping[str, Any]) -> None:
        """Take note of the engine's own log driver from its answer to ``/info``: it is for containers that
        name none.
        """
        self._engines_driver = info.get("LoggingDriver") or ""

    def apply(self, host_config: dict[str, Any]) -> None:
        """Limit a container's logs, unless its definition does, or they go elsewhere."""
        config = host_config.get("LogConfig") or {}
        options = config.get("Config") or {}
        driver = config.get("Type") or self._engines_driver
        if self._max_size is None or driver != _DRIVER or "max-size" in options:
            return
        limits = {"max-size": self._max_size, "max-file": str(self._max_files)}
        host_config["LogConfig"] = {"Type": _DRIVER, "Config": limits | options}
