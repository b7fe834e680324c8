"""A real image registry on a port of this machine: Debian's `docker-registry`, storing into a folder."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.processes import ProcessController, free_port, http_get

_CONFIGURATION = """\
version: 0.1
storage:
  filesystem:
    rootdirectory: {folder}
http:
  addr: 127.0.0.1:{port}
"""


_BASIC_AUTH = """\
auth:
  htpasswd:
    realm: test
    path: {path}
"""

USERNAME = "puller"
PASSWORD = "pull it, please"
_HTPASSWD = f"{USERNAME}:$2b$04$DZlENIXF1I3y10gTR3tHZepZSIGBemUilvttZMlpzI5cUpwjDhpQ.\n"
"""The password as bcrypt has it."""


class RegistryProcess(ProcessController):
    """`docker-registry serve`; the engine pulls from loopback addresses without TLS."""

    def __init__(self, folder: Path, *, private: bool = False) -> None:
        """`private`: only `USERNAME` with `PASSWORD` gets in."""
        self.port = free_port()
        folder.mkdir(parents=True)
        configuration = folder / "config.yml"
        text = _CONFIGURATION.format(folder=folder / "images", port=self.port)
        if private:
            (folder / "htpasswd").write_text(_HTPASSWD)
            text += _BASIC_AUTH.format(path=folder / "htpasswd")
        configuration.write_text(text)
        super().__init__(
            "registry", ("docker-registry", "serve", configuration), folder / "registry.log", dict(os.environ)
        )

    @property
    def address(self) -> str:
        """What image references of this registry begin with."""
        return f"127.0.0.1:{self.port}"

    def ready(self) -> bool:
        answer = http_get(f"http://{self.address}/v2/")
        return answer is not None and answer[0] in (200, 401)
