"""`/metrics` and `/healthz`: what they show, and to whom."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request
from prometheus_client.parser import text_string_to_metric_families

from controller.api.monitoring import Monitoring, ensure_metrics_token, is_local
from controller.state.entities import ContainerInstance, InstanceConnection, Task
from controller.telemetry.metrics import ControllerMetrics
from tests.unit.api.conftest import Api

TOKEN = "the-token"


@pytest.fixture
async def metrics(api: Api) -> ControllerMetrics:
    """Metrics that begin with one RUNNING task on one instance."""
    api.put(
        Task(
            cluster="default",
            id="a" * 32,
            family="web",
            revision=1,
            created_at=1.0,
            instance="1" * 32,
            reported_status="RUNNING",
        ),
        ContainerInstance(
            cluster="default", id="1" * 32, ec2_instance_id="mi-1", cpu=1, memory=1, registered_at=1.0
        ),
    )
    await api.state.flushed(api.state.flusher.newest)
    return ControllerMetrics(api.state)


@pytest.fixture
async def client(api: Api, metrics: ControllerMetrics) -> AsyncIterator[TestClient[Any, Any]]:
    app = web.Application()
    app.add_routes(Monitoring(api.state, metrics, TOKEN).routes())
    async with TestClient(TestServer(app)) as opened:
        yield opened


def value(exposition: bytes, name: str, **labels: str) -> float:
    """The value of one sample."""
    return next(
        sample.value
        for family in text_string_to_metric_families(exposition.decode())
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    )


async def test_tasks_and_instances_are_counted_as_they_change(api: Api, metrics: ControllerMetrics) -> None:
    instances = {"cluster": "default", "status": "ACTIVE"}
    before = metrics.exposition()
    assert value(before, "homeport_tasks", cluster="default", status="RUNNING") == 1
    assert value(before, "homeport_container_instances", connected="false", **instances) == 1
    await api.call("SubmitTaskStateChange", task="a" * 32, status="STOPPED")
    api.put(InstanceConnection(cluster="default", id="1" * 32, connected=True, changed_at=1.0))
    await api.state.flushed(api.state.flusher.newest)
    await api.call("CreateCluster", clusterName="edge")
    after = metrics.exposition()
    assert value(after, "homeport_tasks", cluster="default", status="RUNNING") == 0
    assert value(after, "homeport_tasks", cluster="default", status="STOPPED") == 1
    assert value(after, "homeport_container_instances", connected="true", **instances) == 1


async def test_calls_and_flushes_are_counted(api: Api, metrics: ControllerMetrics) -> None:
    metrics.api.note("RunTask", "OK", 0.004)
    metrics.api.note("RunTask", "ClientException", 0.002)
    await api.call("CreateCluster", clusterName="edge")
    shown = metrics.exposition()
    assert value(shown, "homeport_api_requests_total", operation="RunTask", code="OK") == 1
    assert value(shown, "homeport_api_requests_total", operation="RunTask", code="ClientException") == 1
    assert value(shown, "homeport_api_request_duration_seconds_count", operation="RunTask") == 2
    assert value(shown, "homeport_flush_records_count") == 1
    assert value(shown, "homeport_store_failing_seconds") == 0


async def test_the_exposition_is_what_prometheus_reads(metrics: ControllerMetrics) -> None:
    metrics.api.note("RunTask", "OK", 0.004)
    metrics.agent_sessions.labels("acs").set(3)
    exposition = metrics.exposition()
    names = {family.name for family in text_string_to_metric_families(exposition.decode())}
    assert {"homeport_build_info", "homeport_agent_sessions", "process_resident_memory_bytes"} <= names
    if promtool := shutil.which("promtool"):
        command = [promtool, "check", "metrics"]
        await asyncio.to_thread(subprocess.run, command, input=exposition, check=True)


async def test_health_tells_role_and_epoch(client: TestClient[Any, Any], api: Api) -> None:
    async with client.get("/healthz") as response:
        assert response.status == 200
        document = await response.json()
    assert (document["status"], document["role"], document["epoch"]) == ("ok", "leader", api.state.meta.epoch)


async def test_a_local_caller_needs_no_token(client: TestClient[Any, Any]) -> None:
    async with client.get("/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("Bearer wrong", 401),
        ("Basic " + TOKEN, 401),
        ("Bearer tökén", 401),
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
    ],
)
@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
async def test_a_caller_behind_a_proxy_needs_the_token(
    client: TestClient[Any, Any], header: str, authorization: str | None, status: int
) -> None:
    headers = {header: "127.0.0.1"} | ({"Authorization": authorization} if authorization else {})
    async with client.get("/metrics", headers=headers) as response:
        assert response.status == status


@pytest.mark.parametrize(
    ("peer", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("10.0.0.1", False), (None, False)],
)
def test_only_loopback_is_local(peer: str | None, local: bool) -> None:
    request = make_mocked_request("GET", "/metrics").clone(remote=peer or "")
    assert is_local(request) is local


def test_the_token_is_made_once(tmp_path: Path) -> None:
    token = ensure_metrics_token(tmp_path)
    assert len(token) >= 40
    assert ensure_metrics_token(tmp_path) == token
