"""A controller that serves HTTPS with a certificate that its operator gave."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from controller.cli.client import Client
from controller.keyring import load_client_profile
from controller.tls.authority import issue, new_authority
from tests.support.fixtures import TrackProcess
from tests.support.processes import (
    HOMEPORT,
    ControllerProcess,
    clean_environment,
    free_port,
    http_get,
)

AUTHORITY = new_authority(time.time())


class WithCertificate(ControllerProcess):
    """A controller that is reached by the name in its certificate alone."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        certificate, authority = folder / "server.pem", folder / "authority.pem"
        certificate.write_bytes(issue(AUTHORITY, ["localhost"], time.time()))
        authority.write_text(AUTHORITY.trusted_pem)
        super().__init__(
            folder / "controller",
            *("--tls-certificate", str(certificate), "--tls-key", str(certificate)),
            *("--tls-authority", str(authority), "--public-url", f"https://localhost:{port}/"),
            port=port,
        )
        self.ca_file = authority

    @property
    def endpoint(self) -> str:
        return f"https://localhost:{self.port}"


def test_clients_reach_it_by_its_public_name_and_what_vouches_for_it(
    tmp_path: Path, processes: TrackProcess
) -> None:
    controller = processes(WithCertificate(tmp_path)).start()
    profile = load_client_profile(controller.data_dir)
    assert profile.endpoint == controller.endpoint
    assert Client(profile).ecs("ListClusters")["clusterArns"]
    assert http_get(f"{controller.endpoint}/ca.pem", ca_file=controller.ca_file) == (
        200,
        AUTHORITY.trusted_pem,
    )


def test_who_speaks_plain_http_to_it_is_turned_away_and_disturbs_nobody(
    tmp_path: Path, processes: TrackProcess
) -> None:
    controller = processes(WithCertificate(tmp_path)).start()
    assert http_get(f"http://localhost:{controller.port}/healthz") is None
    assert controller.ready()
    assert "Traceback" not in controller.log()


def test_without_tls_the_network_is_refused_by_name(tmp_path: Path) -> None:
    everywhere = f"0.0.0.0:{free_port()}"
    refused = subprocess.run(
        [HOMEPORT, "controller", "--data-dir", tmp_path, "--listen", everywhere],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=clean_environment(),
    )
    assert refused.returncode == 1
    assert "--tls auto" in refused.stderr
    assert "--allow-plain-http" in refused.stderr
