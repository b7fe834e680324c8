"""What tasks are served: metadata field by field, credentials, protection, and the bound on requests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest
from msgspec.structs import replace

from agent.config_endpoints import RateLimit
from agent.config_values import Address
from agent.endpoints.metadata import Surroundings
from agent.endpoints.rate_limit import Allowances, limited_to
from agent.endpoints.server import LocalServer
from agent.endpoints.tags import Tags
from agent.endpoints.task_protection import TaskProtection
from agent.endpoints.task_server import TaskServer, task_app
from agent.engine.book import TaskRecord
from agent.engine.changes import NetworkBinding
from agent.engine.details import ContainerDetails, Mount, NetworkDetails
from agent.engine.errors import EngineError, NoSuchContainerError
from agent.engine.role_credentials import RoleCredentials
from agent.engine.states import HealthChanged, RestartPlan, Started
from agent.protocol import acs
from agent.protocol.clock import SystemClock
from agent.protocol.signing import Credentials
from agent.session.api import ApiError, Unreachable
from tests.support.clock import FakeClock
from tests.unit.engine.builders import ARN, CLUSTER_ARN, Machine, acs_container, acs_task, container, plan

DOCKER_ID = "id-web"
AMPLE = RateLimit(1000, 1000)
OWN_ID = "11111111-2222-3333-4444-555555555555"
ROLE = acs.IAMRoleCredentials(
    credentials_id="role-id",
    role_arn="arn:aws:iam::000000000000:role/app",
    access_key_id="ASIA",
    secret_access_key="secret",
    session_token="token",
    expiration="2030-01-01T00:00:00Z",
)
DETAILS = ContainerDetails(
    network_mode="bridge",
    networks=(NetworkDetails(name="bridge", ipv4="172.17.0.2", ipv4_prefix=16, mac_address="02:42"),),
    dns=(),
    dns_search=(),
    hostname="web",
    labels={"team": "a", "com.amazonaws.ecs.cluster": "default", "homeport.agent": "x"},
    log_driver="splunk",
    log_options={"splunk-token": "hidden", "tag": "t"},
    mounts=(Mount("", "/etc", "/host-etc"),),
    health_exit_code=0,
    health_output="fine",
)
STATS = {"read": "now", "cpu_stats": {}, "network_rate_stats": {"rx_bytes_per_sec": 1.0}}


class Engine:
    """An engine with one running task, and how often it was asked for details."""

    def __init__(self) -> None:
        web = replace(container("web", health_checked=True), metadata_id=OWN_ID)
        machine = Machine(plan(web, replace(container("side"), metadata_id="side-id"))).run_up()
        binding = NetworkBinding("0.0.0.0", 80, 32768, "tcp")
        machine.happen(Started(at=2.0, container="web", docker_id=DOCKER_ID, network_bindings=(binding,)))
        machine.happen(HealthChanged(at=5.0, container="web", health="HEALTHY"))
        definition = acs_task(
            acs_container(
                cpu=0,
                memory=64,
                container_arn="arn:container",
                secrets=(acs.Secret(name="splunk-token", target="LOG_DRIVER"),),
            ),
            acs_container("side"),
            cpu=0.25,
            memory=128,
            launch_type="EC2",
            service_name="shop",
            associations=(
                acs.Association(
                    name="gpu-1", type="gpu", containers=("web",), content=acs.EncodedString(value="data")
                ),
            ),
        )
        self.record = TaskRecord(definition, machine.plan, machine.state)
        self.asked = 0
        self.details: dict[str, ContainerDetails] = {}
        self.failure: EngineError | None = None

    def records(self) -> tuple[TaskRecord, ...]:
        return (self.record,)

    async def container_details(self, docker_name: str) -> ContainerDetails:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return self.details.get(docker_name, DETAILS)

    async def container_stats(self, docker_id: str, docker_name: str) -> Mapping[str, Any] | None:
        return STATS if docker_id == DOCKER_ID else None


class Controller:
    """Answers the agent's calls as a test wants."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Mapping[str, Any], Credentials | None]] = []
        self.answer: dict[str, Any] | Exception = {"tags": [{"key": "team", "value": "a"}]}

    async def call(
        self,
        operation: str,
        request: Mapping[str, Any],
        *,
        credentials: Credentials | None = None,
        timeout_s: float = 1.0,
    ) -> dict[str, Any]:
        self.calls.append((operation, request, credentials))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Served:
    """A server on a port of its own, and a client of it."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self.http = http
        self.engine: Engine
        self.controller: Controller
        self.credentials: RoleCredentials

    async def get(self, path: str) -> tuple[int, Any]:
        async with self.http.get(self.url + path) as answer:
            text = await answer.text()
            return answer.status, await answer.json() if "json" in answer.headers["Content-Type"] else text

    async def put(self, path: str, content: str) -> tuple[int, Any]:
        async with self.http.put(self.url + path, data=content) as answer:
            return answer.status, await answer.json()


@contextlib.asynccontextmanager
async def serving(limit: RateLimit = AMPLE) -> AsyncIterator[Served]:
    """A server for tests."""
    engine, controller, credentials = Engine(), Controller(), RoleCredentials()
    server = TaskServer(
        engine,
        lambda: Surroundings("default", "us-east-1a"),
        Tags(controller.call, lambda: "arn:instance").of,
    )
    protection = TaskProtection(controller.call, credentials, server.find)
    application = task_app(server, credentials, protection, limited_to(limit, SystemClock()))
    local = LocalServer("test", Address("127.0.0.1", 0), application)
    running = asyncio.create_task(local.run())
    try:
        async with aiohttp.ClientSession() as http:
            served = Served(f"http://{await local.bound()}", http)
            served.engine, served.controller, served.credentials = engine, controller, credentials
            yield served
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving() as found:
        yield found


# --- metadata -----------------------------------------------------------------------------------------------

CONTAINER_V4 = {
    "DockerId": DOCKER_ID,
    "Name": "web",
    "DockerName": "docker-web",
    "Image": "busybox",
    "ImageID": "",
    "Ports": [{"ContainerPort": 80, "Protocol": "tcp", "HostPort": 32768, "HostIp": "0.0.0.0"}],
    "Labels": {"team": "a", "com.amazonaws.ecs.cluster": "default"},
    "DesiredStatus": "RUNNING",
    "KnownStatus": "RUNNING",
    "Limits": {"CPU": 2, "Memory": 64},
    "CreatedAt": "1970-01-01T00:00:02Z",
    "StartedAt": "1970-01-01T00:00:02Z",
    "Type": "NORMAL",
    "Health": {"status": "HEALTHY", "statusSince": "1970-01-01T00:00:05Z", "output": "fine"},
    "Volumes": [{"Source": "/etc", "Destination": "/host-etc"}],
    "LogDriver": "splunk",
    "LogOptions": {"tag": "t"},
    "Networks": [{"NetworkMode": "bridge", "IPv4Addresses": ["172.17.0.2"]}],
    "ContainerARN": "arn:container",
}


async def test_a_container_is_told_of_itself_in_version_four(served: Served) -> None:
    assert await served.get(f"/v4/{OWN_ID}") == (200, CONTAINER_V4)


async def test_version_three_tells_less(served: Served) -> None:
    left_out = {"LogDriver", "LogOptions", "ContainerARN"}
    expected = {name: value for name, value in CONTAINER_V4.items() if name not in left_out}
    port = {"ContainerPort": 80, "Protocol": "tcp", "HostPort": 32768}

    assert await served.get(f"/v3/{OWN_ID}") == (200, {**expected, "Ports": [port]})


async def test_a_task_is_told_of_itself_with_all_its_containers(served: Served) -> None:
    status, body = await served.get(f"/v4/{OWN_ID}/task")

    containers = body.pop("Containers")
    assert (status, [each["Name"] for each in containers]) == (200, ["web", "side"])
    assert containers[0] == CONTAINER_V4
    assert body == {
        "Cluster": "default",
        "TaskARN": ARN,
        "Family": "app",
        "Revision": "3",
        "DesiredStatus": "RUNNING",
        "KnownStatus": "RUNNING",
        "Limits": {"CPU": 0.25, "Memory": 128},
        "PullStartedAt": "1970-01-01T00:00:02Z",
        "PullStoppedAt": "1970-01-01T00:00:02Z",
        "AvailabilityZone": "us-east-1a",
        "LaunchType": "EC2",
        "ServiceName": "shop",
        "FaultInjectionEnabled": False,
    }


async def test_a_task_in_version_three_knows_no_launch_type_and_no_service(served: Served) -> None:
    _, body = await served.get(f"/v3/{OWN_ID}/task")
    assert not {"LaunchType", "ServiceName", "FaultInjectionEnabled"} & body.keys()
    assert body["TaskARN"] == ARN


@pytest.mark.parametrize("version", ["v3", "v4"])
async def test_tags_are_looked_up_at_the_controller(served: Served, version: str) -> None:
    _, body = await served.get(f"/{version}/{OWN_ID}/taskWithTags")

    assert (body["TaskTags"], body["ContainerInstanceTags"]) == ({"team": "a"}, {"team": "a"})
    asked = {request["resourceArn"] for _, request, _ in served.controller.calls}
    assert asked == {ARN, "arn:instance"}


async def test_tags_that_are_refused_are_told_as_errors(served: Served) -> None:
    served.controller.answer = ApiError("ListTagsForResource", "AccessDeniedException", "no", 400)
    status, body = await served.get(f"/v4/{OWN_ID}/taskWithTags")

    assert status == 200
    assert "TaskTags" not in body
    assert body["Errors"][1] == {
        "ErrorField": "TaskTags",
        "ErrorCode": "AccessDeniedException",
        "ErrorMessage": "no",
        "StatusCode": 400,
        "ResourceARN": ARN,
    }


async def test_the_engine_is_asked_once_for_a_start_unless_health_is_to_be_told(served: Served) -> None:
    for _ in range(3):
        await served.get("/v4/side-id")
    assert served.engine.asked == 1
    for _ in range(3):
        await served.get(f"/v4/{OWN_ID}")
    assert served.engine.asked == 4


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v4/other", 404),
        ("/v4/other/task", 404),
        ("/v4/other/stats", 404),
        ("/v3/other", 500),
        ("/v3/other/stats", 400),
    ],
)
async def test_an_unknown_id_is_answered_with_a_json_string(served: Served, path: str, status: int) -> None:
    found, body = await served.get(path)
    assert found == status
    assert isinstance(body, str)
    assert body.startswith(f"V{path[2]} ")


async def test_an_engine_that_does_not_tell_is_said(served: Served) -> None:
    served.engine.failure = NoSuchContainerError("gone")
    assert await served.get(f"/v4/{OWN_ID}") == (
        500,
        "Unable to generate metadata: NoSuchContainerError: gone",
    )


async def test_statistics_are_told_for_a_container_and_for_its_task(served: Served) -> None:
    assert await served.get(f"/v4/{OWN_ID}/stats") == (200, STATS)
    assert await served.get(f"/v4/{OWN_ID}/task/stats") == (200, {DOCKER_ID: STATS, "id-side": {}})
    assert (await served.get("/v4/side-id/stats"))[0] == 500


async def test_version_three_knows_no_rates(served: Served) -> None:
    _, body = await served.get(f"/v3/{OWN_ID}/stats")
    assert "network_rate_stats" not in body


async def test_associations_are_those_of_the_container_that_asks(served: Served) -> None:
    assert await served.get(f"/v4/{OWN_ID}/associations/gpu") == (200, {"Associations": ["gpu-1"]})
    assert await served.get("/v4/side-id/associations/gpu") == (200, {"Associations": []})
    assert await served.get(f"/v4/{OWN_ID}/associations/gpu/gpu-1") == (200, "data")
    assert (await served.get("/v4/side-id/associations/gpu/gpu-1"))[0] == 400


# --- credentials --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v2/credentials/role-id", "/v1/credentials?id=role-id"])
async def test_credentials_are_given_to_who_knows_their_id(served: Served, path: str) -> None:
    served.credentials.keep(ARN, "TaskApplication", ROLE)

    assert await served.get(path) == (
        200,
        {
            "RoleArn": "arn:aws:iam::000000000000:role/app",
            "AccessKeyId": "ASIA",
            "SecretAccessKey": "secret",
            "Token": "token",
            "Expiration": "2030-01-01T00:00:00Z",
        },
    )


async def test_a_refresh_is_served_under_the_same_id(served: Served) -> None:
    served.credentials.keep(ARN, "TaskApplication", ROLE)
    served.credentials.keep(ARN, "TaskApplication", replace(ROLE, access_key_id="ASIA2"))

    _, body = await served.get("/v2/credentials/role-id")
    assert body["AccessKeyId"] == "ASIA2"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v2/credentials/", 400, "NoIdInRequest"),
        ("/v1/credentials", 400, "NoIdInRequest"),
        ("/v2/credentials/other", 400, "InvalidIdInRequest"),
        ("/v2/credentials/role-id", 503, "CredentialsUninitialized"),
    ],
)
async def test_refusals_say_why_in_ecss_words(served: Served, path: str, status: int, code: str) -> None:
    served.credentials.keep(ARN, "TaskApplication", acs.IAMRoleCredentials(credentials_id="role-id"))
    found, body = await served.get(path)

    assert (found, body["code"], body["HTTPErrorCode"]) == (status, code, status)
    assert body["message"].startswith(f"CredentialsV{path[2]}Request: ")


# --- protection ---------------------------------------------------------------------------------------------

PROTECTION = f"/api/{OWN_ID}/task-protection/v1/state"


async def test_protection_is_asked_for_in_the_name_of_the_tasks_role(served: Served) -> None:
    served.credentials.keep(ARN, "TaskApplication", ROLE)
    protected = {"taskArn": ARN, "protectionEnabled": True, "expirationDate": 1640037464.0}
    served.controller.answer = {"protectedTasks": [protected], "failures": []}

    assert await served.put(PROTECTION, '{"ProtectionEnabled":true,"ExpiresInMinutes":60}') == (
        200,
        {
            "protection": {
                "ExpirationDate": "2021-12-20T21:57:44Z",
                "ProtectionEnabled": True,
                "TaskArn": ARN,
            }
        },
    )
    request = {"cluster": CLUSTER_ARN, "tasks": [ARN], "protectionEnabled": True, "expiresInMinutes": 60}
    assert served.controller.calls == [
        ("UpdateTaskProtection", request, Credentials("ASIA", "secret", "token"))
    ]


async def test_protection_that_is_not_there_has_no_end(served: Served) -> None:
    served.credentials.keep(ARN, "TaskApplication", ROLE)
    served.controller.answer = {"protectedTasks": [{"taskArn": ARN, "protectionEnabled": False}]}

    _, body = await served.get(PROTECTION)
    assert body == {"protection": {"ExpirationDate": None, "ProtectionEnabled": False, "TaskArn": ARN}}


async def test_a_failure_is_an_answer_too(served: Served) -> None:
    served.credentials.keep(ARN, "TaskApplication", ROLE)
    served.controller.answer = {"failures": [{"arn": ARN, "reason": "TASK_NOT_VALID"}]}

    assert await served.get(PROTECTION) == (
        200,
        {"failure": {"Arn": ARN, "Detail": None, "Reason": "TASK_NOT_VALID"}},
    )


async def test_a_task_without_a_role_may_not_ask(served: Served) -> None:
    status, body = await served.get(PROTECTION)
    assert (status, body["error"]["Code"]) == (403, "AccessDeniedException")


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (
            ApiError("UpdateTaskProtection", "InvalidParameterException", "no", 400),
            400,
            "InvalidParameterException",
        ),
        (Unreachable("down"), 500, "ServerException"),
        ({}, 500, "ServerException"),
    ],
)
async def test_what_the_controller_refuses_is_passed_on(
    served: Served, answer: dict[str, Any] | Exception, status: int, code: str
) -> None:
    served.credentials.keep(ARN, "TaskApplication", ROLE)
    served.controller.answer = answer
    found, body = await served.put(PROTECTION, '{"ProtectionEnabled":true}')

    assert (found, body["error"]["Code"], body["error"]["Arn"]) == (status, code, ARN)


async def test_a_controller_that_takes_too_long_is_told_as_such(served: Served) -> None:
    served.credentials.keep(ARN, "TaskApplication", ROLE)
    late = Unreachable("late")
    late.__cause__ = TimeoutError()
    served.controller.answer = late

    status, body = await served.get(PROTECTION)
    assert (status, body["error"]["Code"]) == (504, "RequestCanceled")


@pytest.mark.parametrize(
    "content", ["", "[]", '{"ProtectionEnabled":true,"Other":1}', '{"ProtectionEnabled":"yes"}', "{}"]
)
async def test_a_request_that_makes_no_sense_is_refused(served: Served, content: str) -> None:
    status, body = await served.put(PROTECTION, content)
    assert (status, body["error"]["Code"]) == (400, "InvalidParameterException")


async def test_protection_of_an_unknown_container_is_not_found(served: Served) -> None:
    status, body = await served.get("/api/other/task-protection/v1/state")
    assert (status, body["error"]["Code"]) == (404, "ResourceNotFoundException")


# --- the bound on requests ----------------------------------------------------------------------------------


async def test_a_caller_beyond_its_allowance_is_told_so_in_ecss_words() -> None:
    async with serving(RateLimit(1, 2)) as served:
        answers = [await served.get(f"/v4/{OWN_ID}") for _ in range(3)]

    assert [status for status, _ in answers] == [200, 200, 429]
    assert answers[2][1] == "You have reached maximum request limit."


def test_an_allowance_grows_again_with_time_and_each_caller_has_its_own() -> None:
    clock = FakeClock()
    allowances = Allowances(RateLimit(2, 3), clock)

    assert [allowances.allow("a") for _ in range(4)] == [True, True, True, False]
    assert allowances.allow("b")
    clock.advance(0.5)
    assert [allowances.allow("a") for _ in range(2)] == [True, False]
    clock.advance(100.0)
    assert [allowances.allow("a") for _ in range(4)] == [True, True, True, False]


def test_callers_who_have_been_quiet_are_forgotten() -> None:
    clock = FakeClock()
    allowances = Allowances(RateLimit(1, 1), clock)
    for number in range(1024):
        allowances.allow(str(number))
    assert not allowances.allow("0")
    clock.advance(1.0)
    allowances.allow("one more")

    assert allowances.allow("0")


# --- networks of tasks --------------------------------------------------------------------------------------


async def test_containers_of_an_awsvpc_task_show_the_network_of_the_task() -> None:
    pause_plan = replace(container("~internal~ecs~pause"), internal=True, metadata_id="pause-id")
    restarting = replace(
        container("web"), metadata_id=OWN_ID, restart=RestartPlan(ignored_exit_codes=(), attempt_period=60.0)
    )
    machine = Machine(plan(restarting, pause_plan)).run_up()
    definition = acs_task(acs_container(), acs_container("~internal~ecs~pause"), network_mode="awsvpc")
    pause = replace(
        DETAILS,
        networks=(
            NetworkDetails(
                name="bridge",
                ipv4="172.17.0.5",
                ipv4_prefix=16,
                ipv4_gateway="172.17.0.1",
                mac_address="02:42:ac:11:00:05",
            ),
        ),
        dns=("10.0.0.2",),
    )
    async with serving() as served:
        served.engine.record = TaskRecord(definition, machine.plan, machine.state)
        served.engine.details = {
            "docker-web": replace(DETAILS, networks=()),
            "docker-~internal~ecs~pause": pause,
        }
        _, task = await served.get(f"/v4/{OWN_ID}/task")
        _, third = await served.get(f"/v3/{OWN_ID}")
        _, stats = await served.get(f"/v4/{OWN_ID}/task/stats")

    web, internal = task["Containers"]
    assert web["Networks"] == [
        {
            "NetworkMode": "awsvpc",
            "IPv4Addresses": ["172.17.0.5"],
            "AttachmentIndex": 0,
            "MACAddress": "02:42:ac:11:00:05",
            "IPv4SubnetCIDRBlock": "172.17.0.0/16",
            "DomainNameServers": ["10.0.0.2"],
            "SubnetGatewayIpv4Address": "172.17.0.1/16",
        }
    ]
    assert third["Networks"] == [{"NetworkMode": "awsvpc", "IPv4Addresses": ["172.17.0.5"]}]
    assert (web["Type"], web["KnownStatus"], web["RestartCount"]) == ("NORMAL", "RUNNING", 0)
    assert (internal["Type"], internal["KnownStatus"]) == ("CNI_PAUSE", "RESOURCES_PROVISIONED")
    assert "RestartCount" not in third
    assert list(stats) == ["id-web"]
