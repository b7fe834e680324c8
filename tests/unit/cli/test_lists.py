"""`homeport ps`, `services` and `instances` against a stand-in for the controller."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from controller.cli import main
from tests.unit.cli.conftest import Refusal, StandInController, ecs, write_profile

ARN = "arn:aws:ecs:eu-test-1:000000000000:"
NOW_ISH = 1_767_225_600.0


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def task(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "taskArn": f"{ARN}task/lab/{number:032x}",
        "taskDefinitionArn": f"{ARN}task-definition/web:7",
        "containerInstanceArn": f"{ARN}container-instance/lab/{'c' * 32}",
        "group": "service:web",
        "lastStatus": "RUNNING",
        "desiredStatus": "RUNNING",
        "healthStatus": "HEALTHY",
        "startedAt": NOW_ISH,
        "containers": [
            {"name": "web", "networkBindings": [{"hostPort": 32768, "containerPort": 80, "protocol": "tcp"}]}
        ],
    } | changes


@pytest.fixture
def tasks(stand_in: StandInController) -> dict[str, list[dict[str, Any]]]:
    """Tasks by desired status, as the stand-in lists and describes them."""
    known: dict[str, list[dict[str, Any]]] = {"RUNNING": [], "STOPPED": []}

    def listed(members: dict[str, Any]) -> dict[str, Any]:
        arns = [each["taskArn"] for each in known[members["desiredStatus"]]]
        start = int(members.get("nextToken", "0"))
        page: dict[str, Any] = {"taskArns": arns[start : start + members["maxResults"]]}
        if start + members["maxResults"] < len(arns):
            page["nextToken"] = str(start + members["maxResults"])
        return page

    def described(members: dict[str, Any]) -> dict[str, Any]:
        assert len(members["tasks"]) <= 100
        everything = [*known["RUNNING"], *known["STOPPED"]]
        return {"tasks": [each for each in everything if each["taskArn"] in members["tasks"]], "failures": []}

    stand_in.answers |= {
        ecs("ListTasks"): listed,
        ecs("DescribeTasks"): described,
        "HomeportV1.ListQuarantinedTasks": lambda members: {"quarantinedTasks": []},
    }
    return known


def test_ps_shows_where_a_task_runs_and_on_which_port(
    stand_in: StandInController, tasks: dict[str, list[dict[str, Any]]]
) -> None:
    tasks["RUNNING"].append(task(1))
    status, output, _ = run("ps", "--cluster", "lab")
    heading, line = output.splitlines()
    assert status == 0
    assert heading.split()[:2] == ["TASK", "GROUP"]
    assert "REASON" not in heading
    fields = line.split()
    assert fields[:7] == [f"{1:032x}", "service:web", "web:7", "c" * 12, "RUNNING", "RUNNING", "HEALTHY"]
    assert fields[-1] == "32768->80/tcp"
    assert {members["cluster"] for _, members in stand_in.calls} == {"lab"}
    assert {claim.service for claim in stand_in.claims} == {"ecs", "homeport"}


def test_ps_shows_ranges_of_ports_and_the_address_of_a_task_that_has_one(
    tasks: dict[str, list[dict[str, Any]]],
) -> None:
    ranges = {"hostPortRange": "41000-41004", "containerPortRange": "8000-8004", "protocol": "udp"}
    interface = {"attachmentId": "1", "privateIpv4Address": "172.17.0.5"}
    tasks["RUNNING"] = [
        task(1, containers=[{"name": "web", "networkBindings": [ranges]}]),
        task(2, containers=[{"name": name, "networkInterfaces": [interface]} for name in ("web", "log")]),
    ]
    code, out, _ = run("ps")

    assert code == 0
    assert [line.split()[-1] for line in out.splitlines()[1:]] == ["41000-41004->8000-8004/udp", "172.17.0.5"]


def test_ps_follows_every_page_and_describes_at_most_a_hundred_at_a_time(
    stand_in: StandInController, tasks: dict[str, list[dict[str, Any]]]
) -> None:
    tasks["RUNNING"] += [task(number) for number in range(250)]
    _, output, _ = run("ps")
    assert len(output.splitlines()) == 251
    assert [len(members["tasks"]) for members in stand_in.inputs(ecs("DescribeTasks"))] == [100, 100, 50]


def test_ps_with_all_tells_why_a_task_stopped(tasks: dict[str, list[dict[str, Any]]]) -> None:
    tasks["RUNNING"].append(task(1))
    tasks["STOPPED"].append(
        task(
            2,
            lastStatus="STOPPED",
            desiredStatus="STOPPED",
            stoppedReason="Essential container in task exited",
            containers=[{"name": "web", "exitCode": 3}],
        )
    )
    assert "exited" not in run("ps")[1]
    _, output, _ = run("ps", "--all")
    assert output.splitlines()[0].endswith("REASON")
    assert "Essential container in task exited; web exited with 3" in output.splitlines()[2]


def test_ps_tells_what_a_task_waits_for(tasks: dict[str, list[dict[str, Any]]]) -> None:
    reason = "waits for 512 CPU units (24 free)"
    containers = [{"name": name, "lastStatus": "PENDING", "reason": reason} for name in ("web", "side")]
    tasks["RUNNING"] += [task(1), task(2, lastStatus="PENDING", containers=containers)]
    _, output, _ = run("ps")
    assert output.splitlines()[0].endswith("REASON")
    assert output.splitlines()[2].endswith(f" {reason}")
    assert output.count(reason) == 1


def test_ps_says_once_what_task_and_container_both_say(tasks: dict[str, list[dict[str, Any]]]) -> None:
    reason = "CannotPullContainerError: no such host"
    containers = [{"name": "web", "reason": reason}, {"name": "side", "reason": "never started"}]
    tasks["STOPPED"].append(task(1, stoppedReason=reason, containers=containers))
    line = run("ps", "--all")[1].splitlines()[1]
    assert line.endswith(f"{reason}; side: never started")
    assert line.count(reason) == 1


def test_ps_shows_quarantined_tasks_apart(
    stand_in: StandInController, tasks: dict[str, list[dict[str, Any]]]
) -> None:
    tasks["RUNNING"].append(task(1))
    stray = {
        "taskArn": f"{ARN}task/lab/{'e' * 32}",
        "containerInstanceArn": f"{ARN}container-instance/lab/{'c' * 32}",
        "firstSeenAt": NOW_ISH,
        "family": "db",
        "version": "2",
    }
    stand_in.answers["HomeportV1.ListQuarantinedTasks"] = lambda members: {"quarantinedTasks": [stray]}
    _, output, _ = run("ps")
    above, _, below = output.partition("unknown to this controller")
    assert "e" * 32 not in above
    assert "QUARANTINED" in below
    assert "db:2" in below


def test_ps_gives_scripts_ecs_own_shapes(tasks: dict[str, list[dict[str, Any]]]) -> None:
    tasks["RUNNING"].append(task(1))
    _, output, _ = run("ps", "--output", "json")
    assert json.loads(output) == {"tasks": [task(1)], "quarantinedTasks": []}


def test_services_shows_counts_rollout_and_the_last_event(stand_in: StandInController) -> None:
    names = [f"web-{number}" for number in range(12)]
    stand_in.answers[ecs("ListServices")] = lambda members: {
        "serviceArns": [f"{ARN}service/default/{name}" for name in names]
    }
    stand_in.answers[ecs("DescribeServices")] = lambda members: {
        "services": [service(arn) for arn in members["services"]]
    }
    status, output, _ = run("services")
    assert status == 0
    assert [len(members["services"]) for members in stand_in.inputs(ecs("DescribeServices"))] == [10, 2]
    line = output.splitlines()[1]
    assert line.split()[:7] == ["web-0", "ACTIVE", "web:7", "3", "2", "1", "IN_PROGRESS"]
    assert line.endswith("ago: has started 1 tasks: (task 1).")


def service(arn: str) -> dict[str, Any]:
    name = arn.rpartition("/")[2]
    return {
        "serviceArn": arn,
        "serviceName": name,
        "status": "ACTIVE",
        "taskDefinition": f"{ARN}task-definition/web:7",
        "desiredCount": 3,
        "runningCount": 2,
        "pendingCount": 1,
        "deployments": [
            {"status": "ACTIVE", "rolloutState": "COMPLETED"},
            {"status": "PRIMARY", "rolloutState": "IN_PROGRESS"},
        ],
        "events": [
            {"createdAt": NOW_ISH, "message": f"(service {name}) has started 1 tasks: (task 1)."},
            {"createdAt": NOW_ISH - 60, "message": "older"},
        ],
    }


def test_instances_shows_what_is_free(stand_in: StandInController) -> None:
    arn = f"{ARN}container-instance/default/{'c' * 32}"
    stand_in.answers[ecs("ListContainerInstances")] = lambda members: {"containerInstanceArns": [arn]}
    stand_in.answers[ecs("DescribeContainerInstances")] = lambda members: {
        "containerInstances": [
            {
                "containerInstanceArn": arn,
                "status": "ACTIVE",
                "agentConnected": False,
                "versionInfo": {"agentVersion": "0.1.0"},
                "remainingResources": [
                    {"name": "CPU", "type": "INTEGER", "integerValue": 1024},
                    {"name": "MEMORY", "type": "INTEGER", "integerValue": 2000},
                ],
                "registeredResources": [
                    {"name": "CPU", "type": "INTEGER", "integerValue": 2048},
                    {"name": "MEMORY", "type": "INTEGER", "integerValue": 4000},
                ],
                "runningTasksCount": 2,
                "pendingTasksCount": 1,
                "healthStatus": {
                    "overallStatus": "OK",
                    "details": [
                        {"type": "AGENT_CONNECTIVITY", "status": "OK"},
                        {"type": "CONTAINER_RUNTIME", "status": "OK", "statusReason": "Disk 80 % full."},
                    ],
                },
            }
        ]
    }
    _, output, _ = run("instances")
    assert output.splitlines()[1].split() == [
        *("c" * 32, "ACTIVE", "no", "0.1.0"),
        *("1024/2048", "2000/4000", "2", "1"),
        *("Disk", "80", "%", "full."),
    ]


def test_an_empty_cluster_still_has_headings(
    stand_in: StandInController, tasks: dict[str, list[dict[str, Any]]]
) -> None:
    assert run("ps")[1].startswith("TASK ")


def test_a_refusal_is_shown_in_ecs_words_and_fails(stand_in: StandInController) -> None:
    def refuse(members: dict[str, Any]) -> dict[str, Any]:
        raise Refusal("ClusterNotFoundException", "Cluster not found.")

    stand_in.answers[ecs("ListServices")] = refuse
    status, output, errors = run("services", "--cluster", "nowhere")
    assert (status, output) == (1, "")
    assert "ListServices was refused with ClusterNotFoundException: Cluster not found." in errors


def test_without_a_controller_the_error_says_what_to_do(tmp_path: Path) -> None:
    write_profile(tmp_path, "http://127.0.0.1:9")
    status, _, errors = run("instances")
    assert status == 1
    assert "no controller answers at http://127.0.0.1:9" in errors
    assert "next: start it with 'homeport up'" in errors


def test_colours_are_left_out_where_no_terminal_shows_them(
    tasks: dict[str, list[dict[str, Any]]],
) -> None:
    tasks["RUNNING"].append(task(1))
    assert "\x1b[" not in run("ps")[1]
