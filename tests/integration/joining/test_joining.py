"""Machines that join a controller over HTTPS with a token and nothing else."""

from __future__ import annotations

import json
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
from msgspec.structs import replace

from agent.protocol.joining import parse_token, token_text
from agent.protocol.signing import Credentials, sign
from controller.cli.client import ApiError, Client
from controller.keyring import ClientProfile, load_client_profile
from tests.support.fixtures import TrackProcess
from tests.support.processes import (
    HOMEPORT,
    ControllerProcess,
    ProcessController,
    agent_ports,
    clean_environment,
    http_get,
    wait_until,
)

NOT_STARTABLE = 5


class JoiningAgent(ProcessController):
    """`homeport agent` that is told a token and where to keep its data; nothing about a controller."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.data_dir = directory
        ports = agent_ports()
        self._introspection = ports["HOMEPORT_INTROSPECTION_LISTEN"]
        super().__init__(
            "agent",
            (HOMEPORT, "agent", "--data-dir", directory, *options),
            directory.with_name(directory.name + "-agent.log"),
            clean_environment(**ports),
        )

    @property
    def arn(self) -> str | None:
        """The ARN that it registered under; None before it has."""
        answer = http_get(f"http://{self._introspection}/v1/metadata")
        return json.loads(answer[1]).get("ContainerInstanceArn") if answer and answer[0] == 200 else None

    def ready(self) -> bool:
        return bool(self.arn)

    @property
    def membership(self) -> dict[str, Any]:
        """What it keeps."""
        kept: dict[str, Any] = json.loads((self.data_dir / "membership.json").read_text())["membership"]
        return kept

    @property
    def credentials(self) -> Credentials:
        return Credentials(self.membership["access_key_id"], self.membership["secret_access_key"])


class Lab:
    """A controller with an authority of its own."""

    def __init__(self, directory: Path, processes: TrackProcess, cluster: str) -> None:
        self.directory = directory
        self.processes = processes
        self.cluster = cluster
        self.controller = processes(
            ControllerProcess(directory / "controller", "--tls", "auto", "--cluster", cluster)
        )
        self.controller.start()

    @property
    def profile(self) -> ClientProfile:
        return load_client_profile(self.controller.data_dir)

    def homeport(self, *arguments: str) -> str:
        """What a command on the controller's machine prints."""
        result = subprocess.run(
            [HOMEPORT, *arguments, "--data-dir", self.controller.data_dir],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=clean_environment(),
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    def token(self, *options: str) -> str:
        return self.homeport("token", "create", "--cluster", self.cluster, *options).strip()

    def agent(self, name: str, *options: str) -> JoiningAgent:
        return self.processes(JoiningAgent(self.directory / name, *options))

    def connected(self) -> list[str]:
        """ARNs of the container instances whose agents are connected."""
        client = Client(self.profile)
        arns = client.ecs("ListContainerInstances", cluster=self.cluster)["containerInstanceArns"]
        if not arns:
            return []
        answer = client.ecs("DescribeContainerInstances", cluster=self.cluster, containerInstances=arns)
        return [
            instance["containerInstanceArn"]
            for instance in answer["containerInstances"]
            if instance["agentConnected"]
        ]

    def get(self, path: str, credentials: Credentials) -> tuple[int, str]:
        """The answer to a signed request for what is otherwise a websocket."""
        url = self.controller.endpoint + path
        signed = sign(
            method="GET",
            url=url,
            headers={},
            body=b"",
            credentials=credentials,
            service="ecs",
            region=self.profile.region,
            now=time.time(),
        )
        context = ssl.create_default_context(cafile=self.controller.ca_file)
        try:
            with urlopen(Request(url, headers=signed), timeout=10, context=context) as answer:
                return int(answer.status), answer.read().decode()
        except HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read().decode()

    def as_agent(self, agent: JoiningAgent) -> Client:
        """A client with an agent's credentials, as somebody who has stolen them."""
        credentials = agent.credentials
        return Client(
            ClientProfile(
                self.controller.endpoint,
                self.profile.region,
                self.profile.account_id,
                credentials.access_key_id,
                credentials.secret_access_key,
                self.profile.ca_file,
            )
        )


@pytest.fixture
def lab(tmp_path: Path, processes: TrackProcess, cluster_name: str, docker_engine: None) -> Lab:
    """A controller with an authority of its own."""
    return Lab(tmp_path, processes, cluster_name)


@pytest.mark.engine
def test_two_machines_join_with_a_token_act_for_themselves_alone_and_can_be_shut_out(lab: Lab) -> None:
    token = lab.token("--uses", "2")
    first, second = (lab.agent(name, "--token", token).start() for name in ("first", "second"))
    wait_until(lambda: len(lab.connected()) == 2, "both are connected")
    assert parse_token(token).secret not in first.log()
    assert (first.data_dir / "membership.json").stat().st_mode & 0o077 == 0

    arn, other = first.arn, second.arn
    thief = lab.as_agent(first)
    for operation, members in (
        ("UpdateContainerInstancesState", {"containerInstances": [other], "status": "DRAINING"}),
        ("DiscoverPollEndpoint", {"containerInstance": other}),
        ("ListTagsForResource", {"resourceArn": other}),
        ("ListTasks", {}),
    ):
        with pytest.raises(ApiError) as refused:
            thief.ecs(operation, cluster=lab.cluster, **members)
        assert refused.value.code == "AccessDeniedException"
    with pytest.raises(ApiError, match="AccessDeniedException"):
        thief.homeport("CreateJoinToken", cluster=lab.cluster)
    for path, cluster, instance in (
        ("/acs/ws", "clusterArn", "containerInstanceArn"),
        ("/tcs/ws", "cluster", "containerInstance"),
    ):
        query = urlencode({cluster: lab.cluster, instance: other})
        status, said = lab.get(f"{path}?{query}", first.credentials)
        assert (status, list(json.loads(said))) == (400, ["AccessDeniedException"])
        assert "homeport token create" in said

    # Neither the token nor any setting is needed from now on.
    first.stop()
    first = lab.agent("first").start()
    assert first.arn == arn
    wait_until(lambda: arn in lab.connected(), "the first is connected again")

    lab.homeport("token", "revoke", str(arn))
    wait_until(lambda: lab.connected() == [other], "the first is cut off")
    wait_until(
        lambda: "credentials of this container instance were revoked" in first.log(), "its agent says why"
    )
    listed = lab.homeport("token", "list")
    assert "used up" in listed
    assert "2/2" in listed
    assert "revoked" in listed
    first.stop()
    first = lab.agent("first", "--token", lab.token()).start()
    assert first.arn not in (arn, other)


@pytest.mark.engine
def test_a_machine_rejoins_with_one_command_as_who_it_was(lab: Lab) -> None:
    agent = lab.agent("agent", "--token", lab.token()).start()
    arn, key = agent.arn, agent.credentials
    agent.stop()
    again = lab.agent("agent", "--token", lab.token()).start()
    assert again.arn == arn
    assert again.credentials != key
    with pytest.raises(ApiError, match="UnrecognizedClientException"):
        Client(
            ClientProfile(
                lab.controller.endpoint,
                lab.profile.region,
                lab.profile.account_id,
                key.access_key_id,
                key.secret_access_key,
                lab.profile.ca_file,
            )
        ).ecs("DiscoverPollEndpoint", cluster=lab.cluster)
    wait_until(lambda: lab.connected() == [arn], "it is connected")


@pytest.mark.engine
def test_tokens_that_are_not_good_are_refused_with_what_to_do(lab: Lab) -> None:
    used = lab.token()
    lab.agent("member", "--token", used).start()
    revoked = lab.token()
    lab.homeport("token", "revoke", parse_token(revoked).id)
    good = parse_token(lab.token())
    agents = {
        name: lab.agent(name, "--token", text).start(wait=False)
        for name, text in {
            "used": used,
            "revoked": revoked,
            "fingerprint": token_text(replace(good, fingerprint="sha256:" + "0" * 64)),
            "secret": token_text(replace(good, secret="0" * 64)),
        }.items()
    }
    said = {
        "used": "is used up: 1 of 1 machines joined with it",
        "revoked": "was revoked",
        "fingerprint": "is not the controller that was expected",
        "secret": "does not know the join token",
    }
    for name, agent in agents.items():
        assert agent.wait(timeout_s=60) == NOT_STARTABLE
        assert said[name] in agent.log()
        assert "homeport t" in agent.log()  # token create, or tls show
        assert (
            not (agent.data_dir / "membership.json").exists()
            or '"membership":null' in (agent.data_dir / "membership.json").read_text()
        )
    assert len(lab.connected()) == 1


def test_the_line_to_paste_gets_the_program_and_hands_it_the_token(
    tmp_path: Path, processes: TrackProcess
) -> None:
    lab = Lab(tmp_path, processes, "pasted")
    result = subprocess.run(
        [HOMEPORT, "token", "create", "--data-dir", lab.controller.data_dir],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=clean_environment(),
    )
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("curl "))
    assert line.endswith(f"./homeport/deploy/install.sh agent --token {result.stdout.strip()}")
    machine = tmp_path / "machine"
    machine.mkdir()

    def paste(text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", text], capture_output=True, text=True, timeout=60, check=False, cwd=machine
        )

    digest = line.partition("echo '")[2].partition(" ")[0]
    other = paste(line.replace(digest, "0" * 64))
    assert other.returncode != 0
    assert not (machine / "homeport").exists(), "what is not the program that was meant is not unpacked"
    # Whatever installing does to a machine, it must not do to this one: the script only tells its usage.
    shown = paste(line + " --help")
    assert shown.returncode == 0, shown.stderr
    assert "./deploy/install.sh agent --token TOKEN" in shown.stdout
    assert (machine / "homeport" / "agent" / "app.py").exists()


def test_a_text_that_is_no_token_is_refused_and_not_shown(tmp_path: Path, processes: TrackProcess) -> None:
    agent = processes(JoiningAgent(tmp_path / "agent", "--token", "hpj1-half-a-tok")).start(wait=False)
    assert agent.wait(timeout_s=60) == NOT_STARTABLE
    assert "--token cannot be used: the join token is not whole: copy all of it" in agent.log()
    assert "half" not in agent.log()
