"""ARNs of this controller's resources. They follow from account, region and names, and are stored nowhere."""

from __future__ import annotations

import msgspec

from agent.protocol import arn
from controller.state.entities import ContainerInstance, Deployment, Service, Task, TaskDefinition


class Names(msgspec.Struct, frozen=True):
    """The account and region that every ARN of this controller carries."""

    account: str
    region: str

    def cluster(self, name: str) -> str:
        """ARN of a cluster."""
        return arn.cluster_arn(self.region, self.account, name)

    def task_definition(self, definition: TaskDefinition) -> str:
        """ARN of a task definition revision."""
        return self.task_definition_revision(definition.family, definition.revision)

    def task_definition_revision(self, family: str, revision: int) -> str:
        """ARN of a task definition revision by family and number."""
        return arn.task_definition_arn(self.region, self.account, family, revision)

    def instance(self, instance: ContainerInstance) -> str:
        """ARN of a container instance."""
        return self.instance_id(instance.cluster, instance.id)

    def instance_id(self, cluster: str, instance_id: str) -> str:
        """ARN of a container instance by cluster and id."""
        return arn.container_instance_arn(self.region, self.account, cluster, instance_id)

    def task(self, task: Task) -> str:
        """ARN of a task."""
        return self.task_id(task.cluster, task.id)

    def task_id(self, cluster: str, task_id: str) -> str:
        """ARN of a task by cluster and id."""
        return arn.task_arn(self.region, self.account, cluster, task_id)

    def container(self, task: Task, container_id: str) -> str:
        """ARN of one container of a task."""
        return arn.container_arn(self.region, self.account, task.cluster, task.id, container_id)

    def service(self, service: Service) -> str:
        """ARN of a service."""
        return self.service_name(service.cluster, service.name)

    def service_name(self, cluster: str, name: str) -> str:
        """ARN of a service by cluster and name."""
        return arn.service_arn(self.region, self.account, cluster, name)

    def service_deployment(self, deployment: Deployment) -> str:
        """ARN of a service deployment, whose id is the number of its `ecs-svc/` id."""
        return self._of_deployment("service-deployment", deployment)

    def service_revision(self, deployment: Deployment) -> str:
        """ARN of the service revision that a deployment makes."""
        return self._of_deployment("service-revision", deployment)

    def task_set(self, cluster: str, service: str, task_set_id: str) -> str:
        """ARN of a task set."""
        return f"arn:aws:ecs:{self.region}:{self.account}:task-set/{cluster}/{service}/{task_set_id}"

    def capacity_provider(self, name: str) -> str:
        """ARN of a capacity provider by name."""
        return f"arn:aws:ecs:{self.region}:{self.account}:capacity-provider/{name}"

    @property
    def root_user(self) -> str:
        """ARN of the account's root user, whose account settings hold for all who have none of their own."""
        return f"arn:aws:iam::{self.account}:root"

    def _of_deployment(self, resource: str, deployment: Deployment) -> str:
        number = deployment.id.removeprefix("ecs-svc/")
        path = f"{deployment.cluster}/{deployment.service}/{number}"
        return f"arn:aws:ecs:{self.region}:{self.account}:{resource}/{path}"
