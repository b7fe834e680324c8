"""One stored body a kind, as the first release wrote it. A change that breaks one of them is a migration."""

from __future__ import annotations

from controller.state.entities import (
    AccessKey,
    AccountSetting,
    Attribute,
    CapacityProvider,
    Cluster,
    ContainerInstance,
    Deployment,
    Entity,
    JoinExchange,
    JoinToken,
    NetworkBinding,
    QuarantinedTask,
    RunTaskToken,
    Secret,
    SecretVersion,
    Service,
    Tag,
    Task,
    TaskContainer,
    TaskDefinition,
    TaskDefinitionFamily,
    TaskRole,
    TaskSet,
)

GOLDEN: dict[str, tuple[Entity, str]] = {
    "cluster": (
        Cluster(
            name="default",
            created_at=1_700_000_000.25,
            tags=(Tag("team", "web"), Tag("empty")),
            options={"settings": [{"name": "containerInsights", "value": "disabled"}]},
        ),
        (
            '[1,{"name":"default","created_at":1700000000.25,"tags":[{"key":"team","value":"web"},{"key'
            '":"empty","value":""}],"options":{"settings":[{"name":"containerInsights","value":"disable'
            'd"}]}}]'
        ),
    ),
    "task-definition-family": (
        TaskDefinitionFamily(name="web", last_revision=7),
        ('[1,{"name":"web","last_revision":7}]'),
    ),
    "task-definition": (
        TaskDefinition(
            family="web",
            revision=7,
            status="INACTIVE",
            document={
                "containerDefinitions": [{"name": "app", "image": "web:1", "cpu": 0, "essential": True}],
                "volumes": [],
            },
            requires_attributes=("com.amazonaws.ecs.capability.docker-remote-api.1.18",),
            compatibilities=("EXTERNAL", "EC2"),
            registered_at=1_700_000_001.5,
            registered_by="arn:aws:iam::000000000000:root",
            deregistered_at=1_700_000_009.0,
        ),
        (
            '[1,{"family":"web","revision":7,"status":"INACTIVE","document":{"containerDefinitions":[{"'
            'name":"app","image":"web:1","cpu":0,"essential":true}],"volumes":[]},"requires_attributes"'
            ':["com.amazonaws.ecs.capability.docker-remote-api.1.18"],"compatibilities":["EXTERNAL","EC'
            '2"],"registered_at":1700000001.5,"registered_by":"arn:aws:iam::000000000000:root","deregis'
            'tered_at":1700000009.0}]'
        ),
    ),
    "container-instance": (
        ContainerInstance(
            cluster="default",
            id="0123456789abcdef0123456789abcdef",
            status="DRAINING",
            ec2_instance_id="mi-0123456789abcdef0",
            cpu=2048,
            memory=3900,
            reserved_ports_tcp=(22, 2375),
            attributes=(Attribute("ecs.os-type", "linux"), Attribute("ecs.capability.full-sync")),
            agent_version="0.1.0",
            docker_version="20.10.24",
            machine_id="m",
            boot_id="b",
            registered_at=1_700_000_002.0,
            version=3,
        ),
        (
            '[1,{"cluster":"default","id":"0123456789abcdef0123456789abcdef","status":"DRAINING","ec2_i'
            'nstance_id":"mi-0123456789abcdef0","cpu":2048,"memory":3900,"reserved_ports_tcp":[22,2375]'
            ',"attributes":[{"name":"ecs.os-type","value":"linux"},{"name":"ecs.capability.full-sync","'
            'value":null}],"agent_version":"0.1.0","docker_version":"20.10.24","machine_id":"m","boot_i'
            'd":"b","registered_at":1700000002.0,"version":3}]'
        ),
    ),
    "task": (
        Task(
            cluster="default",
            id="00000000000000000000000000000001",
            family="web",
            revision=7,
            instance="0123456789abcdef0123456789abcdef",
            group="service:web",
            started_by="ecs-svc/9223370345854775807",
            service="web",
            deployment="ecs-svc/9223370345854775807",
            desired_status="STOPPED",
            reported_status="STOPPED",
            disposition="UNKNOWN",
            has_run=True,
            containers=(
                TaskContainer(
                    name="app",
                    id="00000000-0000-4000-8000-000000000001",
                    last_status="STOPPED",
                    runtime_id="f00",
                    exit_code=137,
                    reason="OutOfMemoryError: Container killed due to memory usage",
                    health_status="UNHEALTHY",
                    network_bindings=(NetworkBinding(bind_ip="0.0.0.0", container_port=80, host_port=32768),),
                ),
            ),
            cpu=256,
            memory=128,
            ports_tcp=(8080,),
            created_epoch=4,
            created_at=1_700_000_003.0,
            started_at=1_700_000_004.0,
            stopped_at=1_700_000_005.0,
            stop_code="EssentialContainerExited",
            stopped_reason="Essential container in task exited",
            options={"overrides": {"containerOverrides": [{"name": "app", "command": ["true"]}]}},
            version=6,
        ),
        (
            '[1,{"cluster":"default","id":"00000000000000000000000000000001","family":"web","revision":'
            '7,"instance":"0123456789abcdef0123456789abcdef","group":"service:web","started_by":"ecs-sv'
            'c/9223370345854775807","service":"web","deployment":"ecs-svc/9223370345854775807","desired'
            '_status":"STOPPED","reported_status":"STOPPED","disposition":"UNKNOWN","has_run":true,"con'
            'tainers":[{"name":"app","id":"00000000-0000-4000-8000-000000000001","last_status":"STOPPED'
            '","runtime_id":"f00","exit_code":137,"reason":"OutOfMemoryError: Container killed due to m'
            'emory usage","health_status":"UNHEALTHY","network_bindings":[{"bind_ip":"0.0.0.0","contain'
            'er_port":80,"host_port":32768}]}],"cpu":256,"memory":128,"ports_tcp":[8080],"created_epoch'
            '":4,"created_at":1700000003.0,"started_at":1700000004.0,"stopped_at":1700000005.0,"stop_co'
            'de":"EssentialContainerExited","stopped_reason":"Essential container in task exited","opti'
            'ons":{"overrides":{"containerOverrides":[{"name":"app","command":["true"]}]}},"version":6}'
            "]"
        ),
    ),
    "service": (
        Service(
            cluster="default",
            name="web",
            desired_count=3,
            minimum_healthy_percent=50,
            options={"deploymentConfiguration": {"minimumHealthyPercent": 50}},
            created_at=1_700_000_006.0,
            created_by="arn:aws:iam::000000000000:root",
        ),
        (
            '[1,{"cluster":"default","name":"web","desired_count":3,"minimum_healthy_percent":50,"optio'
            'ns":{"deploymentConfiguration":{"minimumHealthyPercent":50}},"created_at":1700000006.0,"cr'
            'eated_by":"arn:aws:iam::000000000000:root"}]'
        ),
    ),
    "deployment": (
        Deployment(
            cluster="default",
            service="web",
            id="ecs-svc/9223370345854775807",
            status="ACTIVE",
            family="web",
            revision=7,
            rollout_state="COMPLETED",
            rollout_state_reason="ECS deployment ecs-svc/9223370345854775807 completed.",
            image_digests=(("app", "sha256:1"),),
            created_at=1_700_000_007.0,
            updated_at=1_700_000_008.0,
        ),
        (
            '[1,{"cluster":"default","service":"web","id":"ecs-svc/9223370345854775807","status":"ACTIV'
            'E","family":"web","revision":7,"rollout_state":"COMPLETED","rollout_state_reason":"ECS dep'
            'loyment ecs-svc/9223370345854775807 completed.","image_digests":[["app","sha256:1"]],"crea'
            'ted_at":1700000007.0,"updated_at":1700000008.0}]'
        ),
    ),
    "quarantined-task": (
        QuarantinedTask(
            cluster="default",
            instance="0123456789abcdef0123456789abcdef",
            task_arn="arn:aws:ecs:us-east-1:000000000000:task/default/00000000000000000000000000000002",
            family="old",
            version="1",
            first_seen_at=1_700_000_010.0,
        ),
        (
            '[1,{"cluster":"default","instance":"0123456789abcdef0123456789abcdef","task_arn":"arn:aws:'
            'ecs:us-east-1:000000000000:task/default/00000000000000000000000000000002","family":"old","'
            'version":"1","first_seen_at":1700000010.0}]'
        ),
    ),
    "run-task-token": (
        RunTaskToken(
            cluster="default",
            token="token-1",
            fingerprint="f",
            tasks=("00000000000000000000000000000001",),
            failures=({"reason": "RESOURCE:CPU"},),
            created_at=1_700_000_011.0,
        ),
        (
            '[1,{"cluster":"default","token":"token-1","fingerprint":"f","tasks":["00000000000000000000'
            '000000000001"],"failures":[{"reason":"RESOURCE:CPU"}],"created_at":1700000011.0}]'
        ),
    ),
    "capacity-provider": (
        CapacityProvider(
            name="pool",
            update_status="UPDATE_COMPLETE",
            auto_scaling_group_provider={"autoScalingGroupArn": "pool-1", "managedDraining": "ENABLED"},
            created_at=1_700_000_020.0,
            tags=(Tag("team", "web"),),
        ),
        (
            '[1,{"name":"pool","update_status":"UPDATE_COMPLETE","auto_scaling_group_provider":{"autoSc'
            'alingGroupArn":"pool-1","managedDraining":"ENABLED"},"created_at":1700000020.0,"tags":[{"k'
            'ey":"team","value":"web"}]}]'
        ),
    ),
    "account-setting": (
        AccountSetting(principal="arn:aws:iam::000000000000:root", name="containerInsights", value="enabled"),
        ('[1,{"principal":"arn:aws:iam::000000000000:root","name":"containerInsights","value":"enabled"}]'),
    ),
    "access-key": (
        AccessKey(
            id="HPAK000000000000TEST",
            role="agent",
            cluster="default",
            secret_ciphertext="c2VjcmV0",
            created_at=1_700_000_012.0,
        ),
        (
            '[1,{"id":"HPAK000000000000TEST","role":"agent","cluster":"default","secret_ciphertext":"c2'
            'VjcmV0","created_at":1700000012.0}]'
        ),
    ),
    "join-token": (
        JoinToken(
            id="0123456789abcdef",
            cluster="default",
            secret_hash="0f",
            uses=2,
            created_at=1_700_000_012.0,
            expires_at=1_700_003_612.0,
            revoked_at=1_700_000_014.0,
            exchanges=(
                JoinExchange(id="once", access_key_id="AKIATEST", instance="1" * 32, at=1_700_000_013.0),
            ),
        ),
        (
            '[1,{"id":"0123456789abcdef","cluster":"default","secret_hash":"0f","uses":2,"created_at":17'
            '00000012.0,"expires_at":1700003612.0,"revoked_at":1700000014.0,"exchanges":[{"id":"once","a'
            'ccess_key_id":"AKIATEST","instance":"11111111111111111111111111111111","at":1700000013.0}]}'
            "]"
        ),
    ),
    "task-role": (
        TaskRole(
            name="worker",
            allowed=("viewer", "RunTask"),
            assumed_arn="arn:aws:iam::123456789012:role/worker",
            changed_at=1_700_000_013.0,
        ),
        (
            '[1,{"name":"worker","allowed":["viewer","RunTask"],"assumed_arn":"arn:aws:iam::123456789012'
            ':role/worker","changed_at":1700000013.0}]'
        ),
    ),
    "secret": (
        Secret(
            name="db/password",
            versions=(
                SecretVersion(
                    id="00000000-0000-4000-8000-000000000001",
                    ciphertext="c2VjcmV0",
                    created_at=1_700_000_014.0,
                    stages=("AWSCURRENT",),
                ),
            ),
            created_at=1_700_000_014.0,
        ),
        (
            '[1,{"name":"db/password","versions":[{"id":"00000000-0000-4000-8000-000000000001","ciphertex'
            't":"c2VjcmV0","created_at":1700000014.0,"stages":["AWSCURRENT"]}],"created_at":1700000014.0}'
            "]"
        ),
    ),
    "task-set": (
        TaskSet(
            cluster="default",
            service="web",
            id="ecs-svc/9223370336854775807",
            status="PRIMARY",
            family="web",
            revision=7,
            external_id="green",
            scale=12.5,
            settings={"launchType": "EC2"},
            stability_status="STEADY_STATE",
            stability_status_at=1_700_000_015.0,
            failed_tasks=1,
            launch_round=2,
            good_round=1,
            last_failed_at=1_700_000_014.5,
            image_digests=(("app", "sha256:" + "0" * 64),),
            client_token="once",
            fingerprint="0f",
            created_at=1_700_000_014.0,
            updated_at=1_700_000_015.0,
            tags=(Tag("team", "web"),),
        ),
        (
            '[1,{"cluster":"default","service":"web","id":"ecs-svc/9223370336854775807","status":"PRIMA'
            'RY","family":"web","revision":7,"external_id":"green","scale":12.5,"settings":{"launchType'
            '":"EC2"},"stability_status":"STEADY_STATE","stability_status_at":1700000015.0,"failed_task'
            's":1,"launch_round":2,"good_round":1,"last_failed_at":1700000014.5,"image_digests":[["app"'
            ',"sha256:0000000000000000000000000000000000000000000000000000000000000000"]],"client_token'
            '":"once","fingerprint":"0f","created_at":1700000014.0,"updated_at":1700000015.0,"tags":[{"'
            'key":"team","value":"web"}]}]'
        ),
    ),
}
