"""Runs inside a container: asks for everything that a task is served, and prints the answers as JSON.

AWS's SDK gets no credentials from here: it finds them by what the agent has put into the environment.
"""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import boto3

Answer = tuple[int, Any]
_PATIENCE_S = 30.0


def ask(url: str, method: str = "GET", body: Any = None) -> Answer:
    """Status and decoded body."""
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, method=method, data=content)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.loads(refusal.read())


def ask_until(url: str, enough: Callable[[Any], bool]) -> Answer:
    """Ask again until the body has what only time brings."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        status, body = ask(url)
        if enough(body) or time.monotonic() > deadline:
            return status, body
        time.sleep(0.2)


def main() -> None:
    """Ask, and print."""
    metadata, agent = os.environ["ECS_CONTAINER_METADATA_URI_V4"], os.environ["ECS_AGENT_URI"]
    third = os.environ["ECS_CONTAINER_METADATA_URI"]
    told: dict[str, Any] = {"environment": dict(os.environ)}
    told["stats"] = ask_until(
        f"{metadata}/stats", lambda body: "networks" not in body or "network_rate_stats" in body
    )
    told["task"] = ask_until(
        f"{metadata}/task",
        lambda body: all(each["Health"].get("status") for each in body["Containers"] if "Health" in each),
    )
    told["task_stats"] = ask(f"{metadata}/task/stats")
    told["container"] = ask(metadata)
    told["task_with_tags"] = ask(f"{metadata}/taskWithTags")
    told["container_v3"] = ask(third)
    told["task_v3"] = ask(f"{third}/task")
    told["unknown"] = ask("http://169.254.170.2/v4/unknown")
    if "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" in os.environ:
        task = told["task"][1]
        told["caller"] = boto3.client("sts").get_caller_identity()
        described = boto3.client("ecs").describe_tasks(cluster=task["Cluster"], tasks=[task["TaskARN"]])
        told["described"] = [found["taskArn"] for found in described["tasks"]]
        wish = {"ProtectionEnabled": True, "ExpiresInMinutes": 5}
        told["protected"] = ask(f"{agent}/task-protection/v1/state", "PUT", wish)
    told["protection"] = ask(f"{agent}/task-protection/v1/state")
    print(json.dumps(told, default=str), flush=True)


if __name__ == "__main__":
    main()
    while True:
        time.sleep(1)
