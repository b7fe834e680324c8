"""Every rule of RegisterTaskDefinition: what breaks it, what just keeps it, and ECS's words."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api.errors import ClientException
from controller.api.task_definition_rules import check_definition, normalise
from tests.unit.api.task_definition_rules.documents import container, definition, fargate


def two(first: dict[str, Any], second: dict[str, Any], **members: Any) -> dict[str, Any]:
    return definition(container(**first), container(**{"name": "side", **second}), **members)


def mapped(*mappings: dict[str, Any], **members: Any) -> dict[str, Any]:
    return definition(container(portMappings=list(mappings)), **members)


def logged(driver: str, **options: str) -> dict[str, Any]:
    return container(logConfiguration={"logDriver": driver, "options": options})


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "family empty": (definition(family=""), "Family should not be null or empty."),
    "family with a dot": (definition(family="a.b"), "Family contains invalid characters"),
    "no containers": ({"family": "web", "containerDefinitions": []}, "Container list cannot be empty."),
    "eleven containers": (
        definition(*(container(name=f"c{number}") for number in range(11))),
        "at most 10 containers",
    ),
    "same name twice": (two({}, {"name": "web"}), "Container names must be unique"),
    "nothing essential": (definition(container(essential=False)), "At least one essential container"),
    "no name": (definition({"image": "web", "memory": 64}), "Container.name should not be null or empty."),
    "odd name": (definition(container(name="a b")), "Invalid container name 'a b'"),
    "no image": (definition({"name": "web", "memory": 64}), "Container.image should not be null or empty."),
    "long image": (definition(container(image="i" * 256)), "at most 255 characters"),
    "odd digest": (definition(container(image="web@sha256:12")), "Invalid image digest 'sha256:12'"),
    "negative cpu": (definition(container(cpu=-1)), "Invalid 'cpu' setting for container 'web'"),
    "no memory": (
        definition({"name": "web", "image": "web"}),
        "At least one of 'memory' or 'memoryReservation' must be specified.",
    ),
    "zero memory": (definition(container(memory=0)), "Invalid 'memory' setting for container 'web'"),
    "tiny reservation": (definition(container(memoryReservation=3)), "Invalid 'memoryReservation' setting"),
    "limit below reservation": (
        definition(container(memory=64, memoryReservation=65)),
        "must not be lower than the soft limit",
    ),
    "task cpu unreadable": (definition(cpu="much"), "Invalid 'cpu' setting for task"),
    "task cpu no whole unit": (definition(cpu="0.0001 vCPU"), "Invalid 'cpu' setting for task"),
    "task cpu too small": (definition(cpu="127"), "Invalid 'cpu' setting for task. 127 is not between 128"),
    "task cpu too large": (definition(cpu="193 vCPU"), "is not between 128"),
    "containers beyond task cpu": (
        two({"cpu": 200}, {"cpu": 57}, cpu="256"),
        "ask for 257 CPU units in total, the task has 256",
    ),
    "task memory unreadable": (definition(memory="1 TB"), "Invalid 'memory' setting for task"),
    "container beyond task memory": (
        definition(container(memory=513, memoryReservation=64), memory="512"),
        "513 MiB exceed the task's 512 MiB",
    ),
    "containers beyond task memory": (
        two({"memory": 300}, {"memory": 300}, memory="512"),
        "ask for 600 MiB in total, the task has 512",
    ),
    "none with ports": (mapped({"containerPort": 80}, networkMode="none"), "networkMode=none"),
    "host with another port": (
        mapped({"containerPort": 80, "hostPort": 81}, networkMode="host"),
        "When networkMode=host, the host ports and container ports in port mappings must match.",
    ),
    "awsvpc with another port": (
        mapped({"containerPort": 80, "hostPort": 81}, networkMode="awsvpc"),
        "When networkMode=awsvpc, the host ports and container ports in port mappings must match.",
    ),
    "no container port": (mapped({"hostPort": 80}), "needs a containerPort"),
    "port too high": (mapped({"containerPort": 65536}), "Invalid 'containerPort' setting"),
    "host port negative": (mapped({"containerPort": 80, "hostPort": -1}), "Invalid 'hostPort' setting"),
    "two protocols": (
        mapped({"containerPort": 53}, {"containerPort": 53, "protocol": "udp"}),
        "You can't expose the same container port for multiple protocols",
    ),
    "host port twice": (
        two(
            {"portMappings": [{"containerPort": 80, "hostPort": 8080}]},
            {"portMappings": [{"containerPort": 81, "hostPort": 8080}]},
        ),
        "Duplicate host port 8080/tcp",
    ),
    "container port twice on one network": (
        two(
            {"portMappings": [{"containerPort": 80}]},
            {"portMappings": [{"containerPort": 80}]},
            networkMode="awsvpc",
        ),
        "Duplicate container port 80/tcp",
    ),
    "port name in capitals": (
        mapped({"containerPort": 80, "name": "Web"}),
        "Invalid port mapping name 'Web'",
    ),
    "port name twice": (
        mapped({"containerPort": 80, "name": "web"}, {"containerPort": 81, "name": "web"}),
        "'web' is used twice",
    ),
    "range on the host network": (
        mapped({"containerPortRange": "80-90"}, networkMode="host"),
        "supported when networkMode is bridge or awsvpc",
    ),
    "range with a port": (
        mapped({"containerPortRange": "80-90", "hostPort": 80}),
        "does not go together with a containerPort or a hostPort",
    ),
    "range backwards": (mapped({"containerPortRange": "90-80"}), "1 <= first < last <= 65535"),
    "ranges overlap": (
        mapped({"containerPortRange": "80-90"}, {"containerPortRange": "90-95"}),
        "overlap at port 90",
    ),
    "too many ranges": (
        mapped(*({"containerPortRange": f"{port}-{port + 1}"} for port in range(1000, 1202, 2))),
        "more than 100 port ranges",
    ),
    "links on the host network": (
        two({"links": ["side"]}, {}, networkMode="host"),
        "Links are not supported when networkMode=host",
    ),
    "link to nobody": (definition(container(links=["db:database"])), "the container 'db' does not exist"),
    "hostname with awsvpc": (definition(container(hostname="a"), networkMode="awsvpc"), "'hostname'"),
    "extra hosts with awsvpc": (
        definition(container(extraHosts=[{"hostname": "a", "ipAddress": "10.0.0.1"}]), networkMode="awsvpc"),
        "'extraHosts'",
    ),
    "volumes from nobody": (
        definition(container(volumesFrom=[{"sourceContainer": "db"}])),
        "the container 'db' does not exist",
    ),
    "depends on nobody": (
        definition(container(dependsOn=[{"containerName": "db", "condition": "START"}])),
        "the container 'db' does not exist",
    ),
    "depends on itself": (
        definition(container(dependsOn=[{"containerName": "web", "condition": "START"}])),
        "refers to itself",
    ),
    "completion of an essential container": (
        two({"dependsOn": [{"containerName": "side", "condition": "COMPLETE"}]}, {}),
        "the condition COMPLETE cannot be set on the essential container 'side'",
    ),
    "success of an essential container": (
        two({"dependsOn": [{"containerName": "side", "condition": "SUCCESS"}]}, {}),
        "the condition SUCCESS cannot be set on the essential container 'side'",
    ),
    "health of an unchecked container": (
        two({"dependsOn": [{"containerName": "side", "condition": "HEALTHY"}]}, {}),
        "requires that the container 'side' has a health check",
    ),
    "a circle of dependencies": (
        two(
            {"dependsOn": [{"containerName": "side", "condition": "START"}]},
            {"dependsOn": [{"containerName": "web", "condition": "START"}]},
        ),
        "depend on each other in a circle",
    ),
    "a circle over links": (two({"links": ["side"]}, {"links": ["web"]}), "in a circle"),
    "health check without CMD": (
        definition(container(healthCheck={"command": ["curl"]})),
        "must start with CMD or CMD-SHELL",
    ),
    "health check of nothing": (definition(container(healthCheck={"command": ["CMD"]})), "command is empty"),
    **{
        f"health check {member} {value}": (
            definition(container(healthCheck={"command": ["CMD", "true"], member: value})),
            f"'{member}' should be between",
        )
        for member, values in {
            "interval": (4, 301),
            "timeout": (1, 61),
            "retries": (0, 11),
            "startPeriod": (-1, 301),
        }.items()
        for value in values
    },
    "restart period short": (
        definition(container(restartPolicy={"enabled": True, "restartAttemptPeriod": 59})),
        "between 60 and 1800",
    ),
    "many ignored exit codes": (
        definition(container(restartPolicy={"enabled": True, "ignoredExitCodes": list(range(51))})),
        "At most 50 exit codes",
    ),
    "stop timeout negative": (definition(container(stopTimeout=-1)), "Invalid 'stopTimeout'"),
    "start timeout zero": (definition(container(startTimeout=0)), "Invalid 'startTimeout'"),
    "ulimit upside down": (
        definition(container(ulimits=[{"name": "nofile", "softLimit": 2, "hardLimit": 1}])),
        "Invalid ulimit 'nofile'",
    ),
    "ulimit twice": (
        definition(container(ulimits=[{"name": "nofile", "softLimit": 1, "hardLimit": 1}] * 2)),
        "Duplicate ulimit 'nofile'",
    ),
    "tmpfs without size": (
        definition(container(linuxParameters={"tmpfs": [{"containerPath": "/a", "size": 0}]})),
        "Invalid tmpfs",
    ),
    "tmpfs with an odd option": (
        definition(
            container(linuxParameters={"tmpfs": [{"containerPath": "/a", "size": 1, "mountOptions": ["x"]}]})
        ),
        "Invalid tmpfs mount option 'x'",
    ),
    "device without a path": (
        definition(container(linuxParameters={"devices": [{"hostPath": ""}]})),
        "Invalid device",
    ),
    "swap negative": (definition(container(linuxParameters={"maxSwap": -1})), "Invalid 'maxSwap'"),
    "swappiness": (definition(container(linuxParameters={"swappiness": 101})), "Invalid 'swappiness'"),
    "shared memory": (definition(container(linuxParameters={"sharedMemorySize": 0})), "'sharedMemorySize'"),
    "variable without a name": (
        definition(container(environment=[{"value": "1"}])),
        "A variable's name should not be null or empty",
    ),
    "secret without a source": (
        definition(container(secrets=[{"name": "A", "valueFrom": ""}])),
        "needs a name and a valueFrom",
    ),
    "variable and secret of one name": (
        definition(
            container(environment=[{"name": "A", "value": "1"}], secrets=[{"name": "A", "valueFrom": "x"}])
        ),
        "The secret name must be unique",
    ),
    "environment file of another kind": (
        definition(container(environmentFiles=[{"type": "s3", "value": "arn:aws:s3:::b/a.txt"}])),
        "Invalid environment file",
    ),
    "eleven environment files": (
        definition(container(environmentFiles=[{"type": "s3", "value": "arn:aws:s3:::b/a.env"}] * 11)),
        "more than 10 environment files",
    ),
    "security option": (definition(container(dockerSecurityOptions=["all"])), "dockerSecurityOptions value"),
    "two credential specs": (
        definition(container(credentialSpecs=["a", "b"])),
        "more than one credentialSpec",
    ),
    "awslogs without a region": (
        definition(logged("awslogs", **{"awslogs-group": "g"})),
        "Log driver awslogs requires options: awslogs-region",
    ),
    "log mode": (definition(logged("json-file", mode="fast")), "Invalid log option 'mode'"),
    "gpu of no number": (
        definition(container(resourceRequirements=[{"type": "GPU", "value": "some"}])),
        "Invalid GPU resource requirement 'some'",
    ),
    "gpu of a number in other digits": (
        definition(container(resourceRequirements=[{"type": "GPU", "value": "٣"}])),
        "Invalid GPU resource requirement",
    ),
    "shared gpu": (
        definition(container(resourceRequirements=[{"type": "GPU", "sharingStrategy": {}}])),
        "request whole GPUs",
    ),
    "neuron device": (
        definition(container(resourceRequirements=[{"type": "NeuronDevice", "value": "ALL"}])),
        "request whole GPUs",
    ),
    "firelens without a router": (definition(logged("awsfirelens")), "awsfirelens cannot be used"),
    "two routers": (
        two({"firelensConfiguration": {"type": "fluentbit"}}, {"firelensConfiguration": {"type": "fluentd"}}),
        "At most one container may have a firelensConfiguration",
    ),
    "volume without a name": (definition(volumes=[{}]), "Volume.name should not be null or empty."),
    "volume with an odd name": (definition(volumes=[{"name": "a b"}]), "Invalid volume name 'a b'"),
    "volume twice": (definition(volumes=[{"name": "a"}, {"name": "a"}]), "'a' is used twice"),
    "volume of two kinds": (
        definition(volumes=[{"name": "a", "host": {"sourcePath": "/a"}, "dockerVolumeConfiguration": {}}]),
        "more than one configuration: host, dockerVolumeConfiguration",
    ),
    "autoprovision of a task's volume": (
        definition(volumes=[{"name": "a", "dockerVolumeConfiguration": {"autoprovision": True}}]),
        "autoprovision is supported when the scope is shared",
    ),
    "access point without encryption": (
        definition(
            volumes=[
                {
                    "name": "a",
                    "efsVolumeConfiguration": {
                        "fileSystemId": "fs-1",
                        "authorizationConfig": {"accessPointId": "fsap-1"},
                    },
                }
            ]
        ),
        "require transitEncryption ENABLED",
    ),
    "access point with a root": (
        definition(
            volumes=[
                {
                    "name": "a",
                    "efsVolumeConfiguration": {
                        "fileSystemId": "fs-1",
                        "rootDirectory": "/data",
                        "transitEncryption": "ENABLED",
                        "authorizationConfig": {"accessPointId": "fsap-1"},
                    },
                }
            ]
        ),
        "rootDirectory should be / or absent",
    ),
    "two volumes at launch": (
        definition(
            volumes=[{"name": "a", "configuredAtLaunch": True}, {"name": "b", "configuredAtLaunch": True}]
        ),
        "Only one volume",
    ),
    "a host volume at launch": (
        definition(volumes=[{"name": "a", "configuredAtLaunch": True, "host": {"sourcePath": "/a"}}]),
        "takes no host",
    ),
    "unknown volume": (
        definition(container(mountPoints=[{"sourceVolume": "a", "containerPath": "/a"}])),
        "Unknown volume 'a'.",
    ),
    "mount without a path": (
        definition(container(mountPoints=[{"sourceVolume": "a"}]), volumes=[{"name": "a"}]),
        "'containerPath' should not be null or empty",
    ),
    "two mounts at one path": (
        definition(
            container(mountPoints=[{"sourceVolume": "a", "containerPath": "/a"}] * 2), volumes=[{"name": "a"}]
        ),
        "mounts two volumes at '/a'",
    ),
    "net sysctl on the host network": (
        definition(
            container(systemControls=[{"namespace": "net.core.somaxconn", "value": "1"}]), networkMode="host"
        ),
        "not supported when networkMode=host",
    ),
    "ipc sysctl in the host's namespace": (
        definition(container(systemControls=[{"namespace": "kernel.msgmax", "value": "1"}]), ipcMode="host"),
        "not supported when ipcMode=host",
    ),
    "sysctl of the whole machine": (
        definition(container(systemControls=[{"namespace": "vm.swappiness", "value": "1"}])),
        "not a namespaced kernel parameter",
    ),
    "constraint of another type": (
        definition(placementConstraints=[{"type": "distinctInstance"}]),
        "The type should be memberOf",
    ),
    "constraint without sense": (
        definition(placementConstraints=[{"type": "memberOf", "expression": "attribute:a =="}]),
        "Invalid placement constraint expression",
    ),
    "eleven constraints": (
        definition(placementConstraints=[{"type": "memberOf", "expression": "attribute:a exists"}] * 11),
        "at most 10 placement constraints",
    ),
    "ephemeral storage": (definition(ephemeralStorage={"sizeInGiB": 20}), "between 21 and 200"),
    "proxy in no container": (
        definition(proxyConfiguration={"containerName": "envoy"}),
        "names the container 'envoy', which does not exist",
    ),
    "too long": (definition(container(command=["x" * 65_536])), "exceeded maximum size"),
    "fargate on the bridge": (
        fargate(networkMode="bridge"),
        "Fargate only supports network mode ‘awsvpc’.",
    ),
    "fargate without cpu": (
        definition(networkMode="awsvpc", memory="512", requiresCompatibilities=["FARGATE"]),
        "Fargate requires that 'cpu' be defined at the task level.",
    ),
    "fargate without memory": (
        definition(networkMode="awsvpc", cpu="256", requiresCompatibilities=["FARGATE"]),
        "Fargate requires that 'memory' be defined at the task level.",
    ),
    "fargate with an odd size": (
        fargate(cpu="256", memory="4096"),
        "No Fargate configuration exists for given values: 256 CPU, 4096 memory.",
    ),
    "fargate in the host's pid namespace": (fargate(pidMode="host"), "do not support pidMode 'host'"),
    "fargate privileged": (fargate(container(privileged=True)), "do not support privileged"),
    "fargate with a host path": (
        fargate(volumes=[{"name": "a", "host": {"sourcePath": "/a"}}]),
        "do not support sourcePath",
    ),
    "fargate with constraints": (
        fargate(placementConstraints=[{"type": "memberOf", "expression": "attribute:a exists"}]),
        "do not support placementConstraints",
    ),
    "fargate with another log driver": (fargate(logged("syslog")), "do not support the log driver syslog"),
    "fargate with a long stop": (fargate(container(stopTimeout=121)), "stopTimeout of at most 120"),
    "fargate with a gpu": (
        fargate(container(resourceRequirements=[{"type": "GPU", "value": "1"}])),
        "do not support GPU",
    ),
    "external with awsvpc": (
        definition(networkMode="awsvpc", requiresCompatibilities=["EXTERNAL"]),
        "External instances do not support network mode 'awsvpc'.",
    ),
    "managed instances on the bridge": (
        definition(requiresCompatibilities=["MANAGED_INSTANCES"]),
        "Managed instances support the network modes",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_rule_is_named(case: str) -> None:
    request, message = BROKEN[case]
    with pytest.raises(ClientException) as raised:
        check_definition(normalise(request))
    assert message in raised.value.message


KEPT: dict[str, dict[str, Any]] = {
    "the least": definition(),
    "a reservation alone": definition({"name": "web", "image": "web", "memoryReservation": 4}),
    "a reservation as large as the limit": definition(container(memory=64, memoryReservation=64)),
    "task memory alone": definition({"name": "web", "image": "web"}, memory="512"),
    "containers that fill the task": two(
        {"cpu": 128, "memory": 256}, {"cpu": 128, "memory": 256}, cpu="256", memory="512"
    ),
    "a digest": definition(container(image="web@sha256:" + "0" * 64)),
    "host ports that match": mapped({"containerPort": 80, "hostPort": 80}, networkMode="host"),
    "a host port for both protocols": mapped(
        {"containerPort": 80, "hostPort": 80}, {"containerPort": 81, "hostPort": 80, "protocol": "udp"}
    ),
    "two dynamic ports": mapped({"containerPort": 80}, {"containerPort": 81}),
    "ranges side by side": mapped({"containerPortRange": "80-90"}, {"containerPortRange": "91-95"}),
    "dependencies of every condition": definition(
        container(
            dependsOn=[
                {"containerName": "a", "condition": "START"},
                {"containerName": "b", "condition": "COMPLETE"},
                {"containerName": "c", "condition": "SUCCESS"},
                {"containerName": "d", "condition": "HEALTHY"},
            ]
        ),
        container(name="a"),
        container(name="b", essential=False),
        container(name="c", essential=False),
        container(name="d", healthCheck={"command": ["CMD-SHELL", "true"], "interval": 5, "retries": 10}),
    ),
    "an unlimited ulimit": definition(
        container(ulimits=[{"name": "nofile", "softLimit": 1024, "hardLimit": -1}])
    ),
    "a namespaced sysctl": definition(
        container(systemControls=[{"namespace": "net.core.somaxconn", "value": "1"}])
    ),
    "fargate": fargate(),
    "a docker volume": definition(
        container(mountPoints=[{"sourceVolume": "a", "containerPath": "/a"}]),
        volumes=[{"name": "a", "dockerVolumeConfiguration": {"scope": "shared", "autoprovision": True}}],
    ),
    "a router and its user": definition(
        logged("awsfirelens"), container(name="router", firelensConfiguration={"type": "fluentbit"})
    ),
    "a constraint": definition(
        placementConstraints=[{"type": "memberOf", "expression": "attribute:ecs.os-type == linux"}]
    ),
}


@pytest.mark.parametrize("case", KEPT)
def test_what_keeps_the_rules_is_accepted(case: str) -> None:
    check_definition(normalise(KEPT[case]))
