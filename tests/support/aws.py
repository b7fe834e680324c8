"""A stand-in for AWS: moto's server, on a port of this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.support.processes import ProcessController, clean_environment, free_port, http_get

REGION = "us-east-1"
ACCOUNT = "123456789012"
"""The account that moto's resources are in."""


class AwsProcess(ProcessController):
    """`moto_server`. Nothing that it keeps survives it."""

    def __init__(self, folder: Path, address: str = "127.0.0.1") -> None:
        """`address`: one of this machine's, by which others reach it too."""
        self.port = free_port()
        self.address = address
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        command = (sys.executable, "-m", "moto.server", "--host", address, "--port", str(self.port))
        super().__init__("aws", command, folder / "aws.log", clean_environment())

    @property
    def endpoint(self) -> str:
        return f"http://{self.address}:{self.port}"

    def ready(self) -> bool:
        answer = http_get(f"{self.endpoint}/moto-api/")
        return answer is not None and answer[0] == 200

    def profile(self, name: str) -> dict[str, str]:
        """Environment with a profile of this name for this AWS."""
        config = self._folder / "aws-config"
        config.write_text(
            f"[profile {name}]\naws_access_key_id = AKIATESTTESTTESTTEST\n"
            f"aws_secret_access_key = testing\nregion = {REGION}\nendpoint_url = {self.endpoint}\n"
        )
        return {"AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": str(config) + "-none"}

    def client(self, service: str) -> Any:
        """A client of one of its services, to prepare a test with."""
        import boto3

        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id="AKIATESTTESTTESTTEST",
            aws_secret_access_key="testing",
        )
