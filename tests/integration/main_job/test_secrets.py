"""Secrets, environment files and registry logins through the whole of Homeport, and seen nowhere else."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.main_job.homeport import Homeport
from tests.support import registry
from tests.support.fixtures import TrackProcess
from tests.support.processes import HOMEPORT, clean_environment, http_get

pytestmark = pytest.mark.engine

PLAIN = "plain-value-3f1c0a"
USER = "user-value-77e2b9"
OLD_USER = "old-user-value-5d8841"
FILE = "file-value-c90d2e"
LOG_TAG = "log-tag-value-1b7f64"
ODD_SIZE = "odd-size-value-6e21d0"
VALUES = (PLAIN, USER, OLD_USER, FILE, LOG_TAG, registry.PASSWORD)


def keep(homeport: Homeport, name: str, value: str) -> dict[str, Any]:
    """Set a secret as a person would, with the value on standard input; returns how it is listed."""
    command = (HOMEPORT, "secret", "set", name, "--data-dir", homeport.controller.data_dir)
    done = subprocess.run(
        command, input=value, text=True, capture_output=True, env=clean_environment(), timeout=30, check=True
    )
    assert value not in done.stdout + done.stderr
    listed = homeport.client.homeport("ListSecrets")["secrets"]
    (found,) = [entry for entry in listed if entry["name"] == name]
    return dict(found)


def container_of(homeport: Homeport, arn: str, name: str) -> dict[str, Any]:
    """What the engine knows of a task's container."""
    found = homeport.engine.containers.list(
        all=True, filters={"label": f"com.amazonaws.ecs.task-arn={arn}"}, ignore_removed=True
    )
    (attributes,) = [each.attrs for each in found if each.labels["com.amazonaws.ecs.container-name"] == name]
    return dict(attributes)


def environment_of(homeport: Homeport, arn: str, name: str = "c0") -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in container_of(homeport, arn, name)["Config"]["Env"])


def places_with(homeport: Homeport, value: str) -> list[str]:
    """Every file of controller and agent, their logs, metrics and answers, in which a value stands."""
    found = [
        str(path)
        for path in homeport.directory.rglob("*")
        if path.is_file() and "registry" not in path.parts and value.encode() in path.read_bytes()
    ]
    tasks = [*homeport.tasks(), *homeport.tasks("STOPPED")]
    definitions = [
        homeport.client.ecs("DescribeTaskDefinition", taskDefinition=task["taskDefinitionArn"])
        for task in tasks
    ]
    ports = (homeport.agent.introspection_port, homeport.agent.metrics_port)
    endpoints = [
        http_get(f"http://127.0.0.1:{port}{path}") for port in ports for path in ("/v1/tasks", "/metrics")
    ]
    endpoints.append(http_get(f"{homeport.controller.endpoint}/metrics"))
    answers = {
        "tasks": json.dumps(tasks),
        "definitions": json.dumps(definitions),
        "secrets": json.dumps(homeport.client.homeport("ListSecrets")),
        "endpoints": str(endpoints),
    }
    return found + [name for name, text in answers.items() if value in text]


def test_containers_get_their_values_and_nobody_else_does(homeport: Homeport) -> None:
    keep(homeport, "app/plain", PLAIN)
    keep(homeport, "app/db", json.dumps({"user": OLD_USER}))
    database = keep(homeport, "app/db", json.dumps({"user": USER, "port": 5432}))
    keep(homeport, "app.env", f"# comment\nFROM_FILE={FILE}\nDEFINED=file\n")
    keep(homeport, "log/tag", LOG_TAG)
    definition = homeport.register(
        "values",
        {
            "command": ["sleep", "600"],
            "stopTimeout": 1,
            "environment": [{"name": "DEFINED", "value": "definition"}],
            "environmentFiles": [{"value": "arn:aws:s3:::homeport/app.env", "type": "s3"}],
            "secrets": [
                {"name": "PLAIN", "valueFrom": "/app/plain"},
                {"name": "USER", "valueFrom": f"{database['arn']}:user::"},
                {"name": "PORT", "valueFrom": f"{database['arn']}:port::"},
                {"name": "OLD_USER", "valueFrom": f"{database['arn']}:user:AWSPREVIOUS:"},
            ],
            "logConfiguration": {
                "logDriver": "json-file",
                "options": {"max-size": "1m"},
                "secretOptions": [{"name": "tag", "valueFrom": "log/tag"}],
            },
        },
    )
    arn = homeport.run_task(definition)
    homeport.wait_for_status(arn, "RUNNING")
    environment = environment_of(homeport, arn)
    assert {name: environment[name] for name in ("PLAIN", "USER", "PORT", "OLD_USER")} == {
        "PLAIN": PLAIN,
        "USER": USER,
        "PORT": "5432",
        "OLD_USER": OLD_USER,
    }
    assert (environment["FROM_FILE"], environment["DEFINED"]) == (FILE, "definition")
    log_config = container_of(homeport, arn, "c0")["HostConfig"]["LogConfig"]
    assert log_config["Config"]["tag"] == LOG_TAG
    assert log_config["Config"]["max-size"] == "1m"

    homeport.agent.stop()
    homeport.agent.start()
    homeport.wait_for_status(arn, "RUNNING")
    assert len(places_with(homeport, "app/plain")) >= 4, (
        "references are everywhere, so the search is thorough"
    )
    for value in VALUES:
        assert places_with(homeport, value) == []


def test_what_is_missing_stops_the_task_before_anything_is_pulled(homeport: Homeport) -> None:
    image = "127.0.0.1:1/never/pulled"
    secret = {"image": image, "secrets": [{"name": "A", "valueFrom": "missing"}]}
    file = {"image": image, "environmentFiles": [{"value": "arn:aws:s3:::homeport/no.env", "type": "s3"}]}
    started = [
        (homeport.run_task(homeport.register("secret", secret)), "unable to pull secrets or registry auth: "),
        (homeport.run_task(homeport.register("file", file)), "failed to download env files: NoSuchKey: "),
    ]
    for arn, reason in started:
        task = homeport.wait_for_status(arn, "STOPPED")
        assert task["stopCode"] == "TaskFailedToStart"
        assert task["stoppedReason"].startswith(f"ResourceInitializationError: {reason}")
        assert "pullStartedAt" not in task
    assert homeport.task(started[0][0])["stoppedReason"].endswith(
        "execution resource retrieval failed: unable to retrieve secrets from ssm: "
        "Invalid ssm parameters: missing"
    )


def test_what_the_engine_quotes_of_a_secret_is_hidden(homeport: Homeport) -> None:
    keep(homeport, "odd", ODD_SIZE)
    option = {"name": "max-size", "valueFrom": "odd"}
    definition = homeport.register(
        "quoted", {"logConfiguration": {"logDriver": "json-file", "secretOptions": [option]}}
    )
    task = homeport.wait_for_status(homeport.run_task(definition), "STOPPED")
    assert "(hidden)" in task["stoppedReason"]
    assert places_with(homeport, ODD_SIZE) == []


def test_an_agent_that_starts_anew_asks_again_and_waits_for_the_controller(homeport: Homeport) -> None:
    keep(homeport, "late", PLAIN)
    definition = homeport.register(
        "late",
        {"command": ["sh", "-c", "while [ ! -e /go ]; do sleep 0.1; done"], "essential": False},
        {
            "command": ["sleep", "600"],
            "stopTimeout": 1,
            "secrets": [{"name": "LATE", "valueFrom": "late"}],
            "dependsOn": [{"containerName": "c0", "condition": "SUCCESS"}],
        },
    )
    arn = homeport.run_task(definition)
    first = homeport.eventually(
        lambda: homeport.engine.containers.list(filters={"label": f"com.amazonaws.ecs.task-arn={arn}"}),
        "the first container runs",
    )[0]
    homeport.agent.kill()
    homeport.controller.stop()
    homeport.agent.start()
    assert first.exec_run(["touch", "/go"]).exit_code == 0
    first.wait(timeout=20)
    homeport.controller.start()
    homeport.eventually(
        lambda: (
            len(
                homeport.engine.containers.list(
                    all=True, filters={"label": f"com.amazonaws.ecs.task-arn={arn}"}, ignore_removed=True
                )
            )
            == 2
        ),
        "the second container is there",
    )
    assert environment_of(homeport, arn, "c1")["LATE"] == PLAIN


def test_a_private_registry_takes_the_login_that_the_task_names(
    homeport: Homeport, processes: TrackProcess, tmp_path: Path
) -> None:
    server = processes(registry.RegistryProcess(tmp_path / "registry", private=True))
    server.start()
    login = {"username": registry.USERNAME, "password": registry.PASSWORD}
    reference = f"{server.address}/private:1"
    homeport.engine.images.get(homeport.image).tag(reference)
    assert "digest" in homeport.engine.images.push(reference, auth_config=login)
    homeport.engine.images.remove(reference)

    private = {"image": reference, "command": ["sleep", "600"], "stopTimeout": 1}
    refused = homeport.wait_for_status(homeport.run_task(homeport.register("anonymous", private)), "STOPPED")
    assert refused["stoppedReason"].startswith("CannotPullContainerError: ")
    secret = keep(homeport, "registry", json.dumps(login))
    credentials = {"repositoryCredentials": {"credentialsParameter": secret["arn"]}}
    arn = homeport.run_task(homeport.register("known", private | credentials))
    homeport.wait_for_status(arn, "RUNNING")
    assert places_with(homeport, registry.PASSWORD) == []

    homeport.end()
    for container in homeport.engine.containers.list(filters={"ancestor": reference}):
        container.remove(force=True)
    homeport.engine.images.remove(reference, force=True)
