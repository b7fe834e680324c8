"""The controller process: how it starts, refuses to start, ends and comes back."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from controller.keyring import load_client_profile
from tests.conformance.conftest import connect
from tests.support.fixtures import TrackProcess
from tests.support.processes import ControllerProcess, clean_environment, free_port

ROOT_KEY = {
    "HOMEPORT_ROOT_ACCESS_KEY_ID": "AKIACHOSENCHOSENCHOS",
    "HOMEPORT_ROOT_SECRET_ACCESS_KEY": "chosen-secret-chosen-secret-chosen-secre",
}


def run_controller(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A controller that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "controller", *arguments],
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def assert_refused(finished: subprocess.CompletedProcess[str], *words: str) -> None:
    """It ended with code 1 and one sentence that holds the words."""
    assert finished.returncode == 1
    assert "Traceback" not in finished.stderr
    last = finished.stderr.strip().splitlines()[-1]
    assert last.startswith("homeport controller: ")
    for word in words:
        assert word in last


def arns(process: ControllerProcess) -> list[str]:
    client: Any = connect(load_client_profile(process.data_dir))
    try:
        return list(client.list_clusters()["clusterArns"])
    finally:
        client.close()


def test_the_first_start_makes_the_clusters_and_private_files(
    data_dir: Path, processes: TrackProcess
) -> None:
    process = processes(ControllerProcess(data_dir, "--cluster", "edge")).start()
    assert sorted(arn.rpartition("/")[2] for arn in arns(process)) == ["default", "edge"]
    for path in data_dir.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    profile = json.loads((data_dir / "client.json").read_text())
    assert profile["endpoint"] == process.endpoint
    assert set(profile) == {"endpoint", "region", "accountId", "accessKeyId", "secretCiphertext"}
    assert process.stop() == 0


def test_what_was_answered_is_there_after_kill_9(data_dir: Path, processes: TrackProcess) -> None:
    process = processes(ControllerProcess(data_dir)).start()
    key = load_client_profile(data_dir)
    client = connect(key)
    for number in range(20):
        client.create_cluster(clusterName=f"c{number}")
    process.kill()
    client.close()
    process.start()
    assert len(arns(process)) == 21
    assert load_client_profile(data_dir) == key


def test_a_deleted_default_cluster_stays_deleted(data_dir: Path, processes: TrackProcess) -> None:
    process = processes(ControllerProcess(data_dir)).start()
    client = connect(load_client_profile(data_dir))
    client.delete_cluster(cluster="default")
    client.close()
    process.stop()
    process.start()
    assert arns(process) == []


def test_a_chosen_administrator_key_replaces_the_one_before(data_dir: Path, processes: TrackProcess) -> None:
    process = processes(ControllerProcess(data_dir)).start()
    before = load_client_profile(data_dir)
    process.stop()
    process.environment |= ROOT_KEY
    process.start()
    after = load_client_profile(data_dir)
    assert after.access_key_id == ROOT_KEY["HOMEPORT_ROOT_ACCESS_KEY_ID"]
    assert len(arns(process)) == 1
    client = connect(before)
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        client.list_clusters()
    client.close()
    assert "chosen-secret" not in process.log()


def test_a_second_controller_on_the_same_directory_is_refused(
    data_dir: Path, processes: TrackProcess
) -> None:
    processes(ControllerProcess(data_dir)).start()
    second = run_controller("--data-dir", str(data_dir), "--listen", f"127.0.0.1:{free_port()}")
    assert_refused(second, "another controller", "--data-dir")


def test_a_port_in_use_is_refused(data_dir: Path, tmp_path: Path, processes: TrackProcess) -> None:
    first = processes(ControllerProcess(data_dir)).start()
    second = run_controller("--data-dir", str(tmp_path / "other"), "--listen", f"127.0.0.1:{first.port}")
    assert_refused(second, f"127.0.0.1:{first.port}", "--listen")


def test_plain_http_beyond_loopback_is_refused_unless_allowed(tmp_path: Path) -> None:
    refused = run_controller("--data-dir", str(tmp_path / "d"), "--listen", f"0.0.0.0:{free_port()}")
    assert_refused(refused, "--allow-plain-http")


def test_a_store_without_its_key_file_is_refused(data_dir: Path, processes: TrackProcess) -> None:
    processes(ControllerProcess(data_dir)).start().stop()
    (data_dir / "secret.key").write_bytes(b"x" * 32)
    refused = run_controller("--data-dir", str(data_dir), "--listen", f"127.0.0.1:{free_port()}")
    assert_refused(refused, "secret.key")


def test_a_damaged_store_is_refused(data_dir: Path, processes: TrackProcess) -> None:
    processes(ControllerProcess(data_dir)).start().stop()
    for path in data_dir.glob("homeport.db*"):
        path.unlink()
    (data_dir / "homeport.db").write_bytes(b"this is no database at all, but long enough" * 100)
    refused = run_controller("--data-dir", str(data_dir), "--listen", f"127.0.0.1:{free_port()}")
    assert_refused(refused, "homeport.db")


def test_it_answers_health_and_metrics_and_nothing_else(data_dir: Path, processes: TrackProcess) -> None:
    process = processes(ControllerProcess(data_dir)).start()
    arns(process)
    with urllib.request.urlopen(f"{process.endpoint}/metrics", timeout=5) as response:
        text = response.read().decode()
    assert 'homeport_api_requests_total{code="OK",operation="ListClusters"} 1.0' in text
    for path in ("/", "/nothing", "/acs/ws"):
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(f"{process.endpoint}{path}", timeout=5)
        assert 400 <= refusal.value.code < 500
        refusal.value.close()
