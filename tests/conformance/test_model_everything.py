"""Every member of the larger structures, given as a client gives it and shown again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.played_agent import PlayedAgent

CONTAINER: dict[str, Any] = {
    "name": "web",
    "image": "web:1",
    "repositoryCredentials": {
        "credentialsParameter": "arn:aws:secretsmanager:us-east-1:000000000000:secret:s"
    },
    "cpu": 16,
    "memory": 64,
    "memoryReservation": 32,
    "links": ["side:other"],
    "portMappings": [
        {"containerPort": 80, "hostPort": 0, "protocol": "tcp", "name": "http", "appProtocol": "http"},
        {"containerPortRange": "90-95", "protocol": "udp"},
    ],
    "essential": True,
    "restartPolicy": {"enabled": True, "ignoredExitCodes": [0], "restartAttemptPeriod": 60},
    "entryPoint": ["sh", "-c"],
    "command": ["sleep 1"],
    "environment": [{"name": "A", "value": "1"}],
    "environmentFiles": [{"value": "arn:aws:s3:::bucket/a.env", "type": "s3"}],
    "mountPoints": [{"sourceVolume": "host", "containerPath": "/host", "readOnly": True}],
    "volumesFrom": [{"sourceContainer": "side", "readOnly": True}],
    "linuxParameters": {
        "capabilities": {"add": ["SYS_PTRACE"], "drop": ["MKNOD"]},
        "devices": [{"hostPath": "/dev/null", "containerPath": "/dev/x", "permissions": ["read"]}],
        "initProcessEnabled": True,
        "sharedMemorySize": 8,
        "tmpfs": [{"containerPath": "/tmp", "size": 8, "mountOptions": ["noexec"]}],
        "maxSwap": 16,
        "swappiness": 10,
    },
    "secrets": [{"name": "S", "valueFrom": "arn:aws:ssm:us-east-1:000000000000:parameter/s"}],
    "startTimeout": 10,
    "stopTimeout": 10,
    "versionConsistency": "disabled",
    "hostname": "web",
    "user": "1000",
    "workingDirectory": "/srv",
    "disableNetworking": False,
    "privileged": False,
    "readonlyRootFilesystem": True,
    "dnsServers": ["10.0.0.2"],
    "dnsSearchDomains": ["internal"],
    "extraHosts": [{"hostname": "db", "ipAddress": "10.0.0.3"}],
    "dockerSecurityOptions": ["no-new-privileges"],
    "interactive": True,
    "pseudoTerminal": True,
    "dockerLabels": {"a": "b"},
    "ulimits": [{"name": "nofile", "softLimit": 1024, "hardLimit": 2048}],
    "logConfiguration": {
        "logDriver": "splunk",
        "options": {"splunk-url": "https://splunk.example"},
        "secretOptions": [
            {"name": "splunk-token", "valueFrom": "arn:aws:ssm:us-east-1:000000000000:parameter/t"}
        ],
    },
    "healthCheck": {"command": ["CMD", "true"], "interval": 10, "timeout": 5, "retries": 2, "startPeriod": 1},
    "systemControls": [{"namespace": "net.core.somaxconn", "value": "1024"}],
    "resourceRequirements": [{"type": "GPU", "value": "1"}],
    "credentialSpecs": ["credentialspec:arn:aws:s3:::bucket/spec.json"],
}
SIDE: dict[str, Any] = {
    "name": "side",
    "image": "side:1",
    "memory": 16,
    "essential": False,
    "firelensConfiguration": {"type": "fluentbit", "options": {"enable-ecs-log-metadata": "true"}},
}
DEFINITION: dict[str, Any] = {
    "taskRoleArn": "arn:aws:iam::000000000000:role/task",
    "executionRoleArn": "arn:aws:iam::000000000000:role/execution",
    "networkMode": "bridge",
    "volumes": [
        {"name": "host", "host": {"sourcePath": "/srv"}},
        {
            "name": "docker",
            "dockerVolumeConfiguration": {
                "scope": "shared",
                "autoprovision": True,
                "driver": "local",
                "driverOpts": {"type": "tmpfs"},
                "labels": {"a": "b"},
            },
        },
    ],
    "placementConstraints": [{"type": "memberOf", "expression": "attribute:ecs.os-type == linux"}],
    "requiresCompatibilities": ["EC2"],
    "cpu": "256",
    "memory": "512",
    "pidMode": "task",
    "ipcMode": "none",
    "runtimePlatform": {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"},
    "enableFaultInjection": False,
}
OF_AWS: dict[str, Any] = {
    "efsVolumeConfiguration": {
        "fileSystemId": "fs-1",
        "rootDirectory": "/",
        "transitEncryption": "ENABLED",
        "transitEncryptionPort": 2049,
        "authorizationConfig": {"accessPointId": "fsap-1", "iam": "ENABLED"},
    },
    "s3filesVolumeConfiguration": {
        "fileSystemArn": "arn:aws:s3files:us-east-1:000000000000:file-system/fs-1",
        "rootDirectory": "/",
        "transitEncryptionPort": 2049,
        "accessPointArn": "arn:aws:s3files:us-east-1:000000000000:access-point/ap-1",
    },
    "fsxWindowsFileServerVolumeConfiguration": {
        "fileSystemId": "fs-2",
        "rootDirectory": "share",
        "authorizationConfig": {
            "credentialsParameter": "arn:aws:ssm:us-east-1:000000000000:parameter/c",
            "domain": "d",
        },
    },
    "configuredAtLaunch": True,
}
"""Volumes that only AWS has: a definition may hold them."""


def assert_shown(given: Any, shown: Any, path: str = "") -> None:
    """All that was given is shown, beside defaults. Lists of structures keep their order."""
    if isinstance(given, dict):
        for name, value in given.items():
            assert name in shown, f"{path}.{name} is not shown"
            assert_shown(value, shown[name], f"{path}.{name}")
    elif isinstance(given, list):
        assert len(given) == len(shown), path
        for number, (value, other) in enumerate(zip(given, shown, strict=True)):
            assert_shown(value, other, f"{path}[{number}]")
    else:
        assert given == shown, path


def _register(ecs: Any, family: str, **members: Any) -> dict[str, Any]:
    registered: dict[str, Any] = ecs.register_task_definition(family=family, **members)["taskDefinition"]
    shown: dict[str, Any] = ecs.describe_task_definition(taskDefinition=registered["taskDefinitionArn"])[
        "taskDefinition"
    ]
    return shown


def test_a_task_definition_shows_every_member_that_it_was_given(ecs: Any, name: str) -> None:
    given = {**DEFINITION, "containerDefinitions": [CONTAINER, SIDE]}
    assert_shown(given, _register(ecs, name, **given))


@pytest.mark.parametrize("member", OF_AWS)
def test_a_task_definition_may_hold_volumes_that_only_aws_has(ecs: Any, name: str, member: str) -> None:
    volume = {"name": "data", member: OF_AWS[member]}
    shown = _register(
        ecs,
        name,
        volumes=[volume],
        containerDefinitions=[{"name": "web", "image": "web:1", "memory": 16}],
        requiresCompatibilities=["EC2"],
    )
    assert_shown([volume], shown["volumes"])


def test_a_fargate_definition_shows_its_storage_and_its_proxy(ecs: Any, name: str) -> None:
    given = {
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "executionRoleArn": "arn:aws:iam::000000000000:role/execution",
        "ephemeralStorage": {"sizeInGiB": 30},
        "proxyConfiguration": {
            "type": "APPMESH",
            "containerName": "web",
            "properties": [
                {"name": name_, "value": value}
                for name_, value in (
                    ("AppPorts", "80"),
                    ("EgressIgnoredIPs", "169.254.170.2"),
                    ("IgnoredUID", "1337"),
                    ("ProxyEgressPort", "15001"),
                    ("ProxyIngressPort", "15000"),
                )
            ],
        },
        "containerDefinitions": [{"name": "web", "image": "web:1"}],
    }
    assert_shown(given, _register(ecs, name, **given))


def test_a_service_shows_every_member_that_it_was_given(ecs: Any, cluster: str, name: str) -> None:
    _register(
        ecs,
        name,
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "web", "image": "web:1"}],
    )
    network = {
        "awsvpcConfiguration": {
            "subnets": ["subnet-1"],
            "securityGroups": ["sg-1"],
            "assignPublicIp": "DISABLED",
        }
    }
    given = {
        "serviceName": "web",
        "desiredCount": 0,
        "launchType": "FARGATE",
        "platformVersion": "1.4.0",
        "networkConfiguration": network,
        "deploymentConfiguration": {"maximumPercent": 150, "minimumHealthyPercent": 50},
        "enableECSManagedTags": True,
        "tags": [{"key": "a", "value": "b"}],
    }
    ecs.create_service(cluster=cluster, taskDefinition=name, **given)
    ecs.update_service(cluster=cluster, service="web", platformVersion="LATEST", networkConfiguration=network)
    (shown,) = ecs.describe_services(cluster=cluster, services=["web"], include=["TAGS"])["services"]
    assert_shown({**given, "platformVersion": shown["platformVersion"]}, shown)


def test_a_service_keeps_its_placement_constraints(ecs: Any, cluster: str, family: str) -> None:
    constraints = [{"type": "memberOf", "expression": "attribute:ecs.os-type == linux"}]
    ecs.create_service(
        cluster=cluster,
        serviceName="web",
        taskDefinition=family,
        desiredCount=0,
        placementConstraints=constraints,
    )
    (shown,) = ecs.describe_services(cluster=cluster, services=["web"])["services"]
    assert shown["placementConstraints"] == constraints


def test_a_task_shows_every_override(ecs: Any, cluster: str, family: str, agent: PlayedAgent) -> None:
    overrides = {
        "containerOverrides": [
            {
                "name": "web",
                "command": ["true"],
                "environment": [{"name": "A", "value": "2"}],
                "environmentFiles": [{"value": "arn:aws:s3:::bucket/b.env", "type": "s3"}],
                "cpu": 32,
                "memory": 48,
                "memoryReservation": 24,
            }
        ],
        "executionRoleArn": "arn:aws:iam::000000000000:role/execution",
        "taskRoleArn": "arn:aws:iam::000000000000:role/task",
    }
    (task,) = ecs.run_task(
        cluster=cluster,
        taskDefinition=family,
        overrides=overrides,
        referenceId="reference",
        enableExecuteCommand=False,
    )["tasks"]
    assert_shown(overrides, task["overrides"])
    assert task["enableExecuteCommand"] is False


def test_an_agent_reports_every_detail_of_a_container(
    ecs: Any, cluster: str, family: str, agent: PlayedAgent
) -> None:
    (task,) = ecs.run_task(cluster=cluster, taskDefinition=family)["tasks"]
    report = {"cluster": cluster, "task": task["taskArn"]}
    bindings = [
        {"bindIP": "0.0.0.0", "protocol": "tcp", "containerPort": 80, "hostPort": 32_768},
        {
            "bindIP": "0.0.0.0",
            "protocol": "udp",
            "containerPortRange": "90-95",
            "hostPortRange": "40090-40095",
        },
    ]
    ecs.submit_container_state_change(
        **report, containerName="web", status="RUNNING", runtimeId="f" * 64, networkBindings=bindings
    )
    (shown,) = ecs.describe_tasks(cluster=cluster, tasks=[task["taskArn"]])["tasks"]
    assert_shown({"runtimeId": "f" * 64, "networkBindings": bindings}, shown["containers"][0])
    ecs.submit_task_state_change(
        **report,
        status="STOPPED",
        reason="it ended",
        executionStoppedAt=1_700_000_000,
        containers=[{"containerName": "web", "status": "STOPPED", "exitCode": 3, "reason": "killed"}],
    )
    (shown,) = ecs.describe_tasks(cluster=cluster, tasks=[task["taskArn"]])["tasks"]
    assert_shown({"exitCode": 3, "reason": "killed"}, shown["containers"][0])
    assert shown["executionStoppedAt"].timestamp() == 1_700_000_000


def test_a_cluster_shows_its_whole_configuration(ecs: Any, name: str) -> None:
    configuration = {
        "executeCommandConfiguration": {
            "kmsKeyId": "k",
            "logging": "OVERRIDE",
            "logConfiguration": {
                "cloudWatchLogGroupName": "g",
                "cloudWatchEncryptionEnabled": True,
                "s3BucketName": "b",
                "s3EncryptionEnabled": True,
                "s3KeyPrefix": "p",
            },
        },
        "managedStorageConfiguration": {"kmsKeyId": "k", "fargateEphemeralStorageKmsKeyId": "f"},
    }
    ecs.create_cluster(clusterName=name, configuration=configuration)
    (shown,) = ecs.describe_clusters(clusters=[name], include=["CONFIGURATIONS"])["clusters"]
    assert_shown(configuration, shown["configuration"])


def test_devices_that_only_aws_has_are_kept(ecs: Any, name: str) -> None:
    given = {
        "inferenceAccelerators": [{"deviceName": "device_1", "deviceType": "eia2.medium"}],
        "containerDefinitions": [{"name": "web", "image": "web:1", "memory": 16}],
        "requiresCompatibilities": ["EC2"],
    }
    assert_shown(given, _register(ecs, name, **given))


def test_a_gpu_is_whole(ecs: Any, name: str) -> None:
    shared = {"type": "GPU", "sharingStrategy": {"nvidiaMps": {"memory": 512, "maxComputePercent": 50}}}
    container = {"name": "web", "image": "web:1", "memory": 16, "resourceRequirements": [shared]}
    with pytest.raises(ecs.exceptions.ClientException, match="request whole GPUs"):
        ecs.register_task_definition(family=name, containerDefinitions=[container])


def test_an_override_may_ask_for_a_gpu(ecs: Any, cluster: str, family: str, agent: PlayedAgent) -> None:
    gpu = [{"type": "GPU", "value": "1"}]
    answer = ecs.run_task(
        cluster=cluster,
        taskDefinition=family,
        overrides={"containerOverrides": [{"name": "web", "resourceRequirements": gpu}]},
    )
    assert [failure["reason"] for failure in answer["failures"]] == ["RESOURCE:GPU"]


def test_a_task_that_is_started_on_an_instance_takes_what_run_task_takes(
    ecs: Any, cluster: str, family: str, agent: PlayedAgent
) -> None:
    overrides = {"containerOverrides": [{"name": "web", "command": ["true"]}]}
    request = {"cluster": cluster, "taskDefinition": family, "containerInstances": [agent.arn]}
    (task,) = ecs.start_task(
        **request,
        overrides=overrides,
        referenceId="reference",
        enableExecuteCommand=True,
        enableECSManagedTags=True,
    )["tasks"]
    assert_shown(overrides, task["overrides"])
    assert task["enableExecuteCommand"] is True
    assert task["tags"] == [{"key": "aws:ecs:clusterName", "value": cluster}]
    with pytest.raises(ecs.exceptions.InvalidParameterException, match="networkMode"):
        ecs.start_task(**request, networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}})


def test_a_service_takes_the_resolution_of_its_metrics(ecs: Any, cluster: str, family: str) -> None:
    service = {"cluster": cluster, "service": "web"}
    monitoring = {"metricConfigurations": [{"metricNames": ["CPUUtilization"], "resolutionSeconds": 60}]}
    ecs.create_service(
        cluster=cluster, serviceName="web", taskDefinition=family, desiredCount=0, monitoring=monitoring
    )
    ecs.update_service(**service, monitoring=monitoring, deploymentController={"type": "ECS"})
    (shown,) = ecs.describe_services(cluster=cluster, services=["web"])["services"]
    assert shown.get("deploymentController", {"type": "ECS"}) == {"type": "ECS"}


def test_no_deployment_waits_for_a_hook(ecs: Any, cluster: str, family: str) -> None:
    created = ecs.create_service(cluster=cluster, serviceName="web", taskDefinition=family, desiredCount=0)
    arn = created["service"]["currentServiceDeployment"]
    with pytest.raises(ecs.exceptions.InvalidParameterException, match="no lifecycle hook"):
        ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId="hook", action="CONTINUE")


def test_a_page_of_a_namespace_goes_on_where_a_page_ended(ecs: Any, cluster: str, name: str) -> None:
    ecs.update_cluster(cluster=cluster, serviceConnectDefaults={"namespace": name})
    with pytest.raises(ecs.exceptions.InvalidParameterException, match="nextToken"):
        ecs.list_services_by_namespace(namespace=name, nextToken="x")


def test_an_agent_reports_what_else_it_has(ecs: Any, cluster: str, family: str, agent: PlayedAgent) -> None:
    (task,) = ecs.run_task(cluster=cluster, taskDefinition=family)["tasks"]
    managed = {"containerName": "web", "managedAgentName": "ExecuteCommandAgent", "status": "STOPPED"}
    ecs.submit_task_state_change(
        cluster=cluster,
        task=task["taskArn"],
        status="RUNNING",
        managedAgents=[{**managed, "reason": "it ended"}],
    )
    (shown,) = ecs.describe_tasks(cluster=cluster, tasks=[task["taskArn"]])["tasks"]
    assert shown["lastStatus"] == "RUNNING"
    (shown_agent,) = shown["containers"][0]["managedAgents"]
    assert shown_agent == {"name": "ExecuteCommandAgent", "lastStatus": "STOPPED", "reason": "it ended"}


def test_a_machine_tells_its_size_in_integers(ecs: Any, cluster: str) -> None:
    resources = [
        {"name": "CPU", "type": "INTEGER", "integerValue": 1024, "longValue": 5, "doubleValue": 5.0},
        {"name": "MEMORY", "type": "INTEGER", "integerValue": 2048, "longValue": 5, "doubleValue": 5.0},
    ]
    instance = ecs.register_container_instance(cluster=cluster, totalResources=resources)["containerInstance"]
    sizes = {item["name"]: item["integerValue"] for item in instance["registeredResources"][:2]}
    assert sizes == {"CPU": 1024, "MEMORY": 2048}


def test_a_capacity_provider_is_of_every_cluster(ecs: Any, cluster: str, name: str) -> None:
    group = "arn:aws:autoscaling:us-east-1:000000000000:autoScalingGroup:1:autoScalingGroupName/" + name
    ecs.create_capacity_provider(name=name, autoScalingGroupProvider={"autoScalingGroupArn": group})
    change = {"managedDraining": "DISABLED"}
    with pytest.raises(ecs.exceptions.ClientError):
        ecs.update_capacity_provider(name=name, cluster=cluster, autoScalingGroupProvider=change)
    with pytest.raises(ecs.exceptions.ClientError):
        ecs.delete_capacity_provider(capacityProvider=name, cluster=cluster)


def test_commands_are_run_in_a_cluster(ecs: Any, cluster: str) -> None:
    with pytest.raises(ecs.exceptions.ClientError) as error:
        ecs.execute_command(cluster=cluster, task="0" * 32, command="sh", interactive=True)
    assert error.value.response["Error"]["Code"] == "InvalidParameterException"


def test_storage_and_accelerators_of_an_override_are_shown(
    ecs: Any, cluster: str, family: str, agent: PlayedAgent
) -> None:
    overrides = {
        "ephemeralStorage": {"sizeInGiB": 40},
        "inferenceAcceleratorOverrides": [{"deviceName": "device_1", "deviceType": "eia2.medium"}],
    }
    (task,) = ecs.run_task(cluster=cluster, taskDefinition=family, overrides=overrides)["tasks"]
    assert_shown(overrides, task["overrides"])


def test_an_isolation_that_only_aws_has_is_kept(ecs: Any, name: str) -> None:
    given = {
        "trustedExecutionConfiguration": {"isolationMode": "SHARED", "attestationPolicy": "p"},
        "containerDefinitions": [{"name": "web", "image": "web:1", "memory": 16}],
    }
    assert_shown(given, _register(ecs, name, **given))
