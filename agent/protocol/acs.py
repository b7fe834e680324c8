"""The messages of the ACS websocket ("agent communication service") and the shapes inside them.

Class names are the wire's type names; attributes are its members in snake case. On the wire members are
camelCase and absent ones are left out. Every member is optional in ECS's schema; what a message cannot do
without is checked by its handler. Times are epoch milliseconds, memory MiB, CPU units 1/1024 of a CPU, unless
said otherwise.
"""

import msgspec


class _Shape(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel", omit_defaults=True):
    """How every shape of this module is laid out and encoded."""


# --- credentials -------------------------------------------------------------------------------------------


class IAMRoleCredentials(_Shape, frozen=True, kw_only=True):
    """Credentials of a task's role.

    ``credentials_id`` stays the same across refreshes; times are ISO 8601.
    """

    credentials_id: str | None = None
    role_arn: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    expiration: str | None = None
    credential_scope: str | None = None

    def __repr__(self) -> str:
        return f"IAMRoleCredentials(credentials_id={self.credentials_id!r}, role_arn={self.role_arn!r})"


class IAMRoleCredentialsMessage(_Shape, frozen=True, kw_only=True):
    """Fresh credentials for a running task. ``role_type`` is ``TaskApplication`` or ``TaskExecution``."""

    message_id: str | None = None
    task_arn: str | None = None
    task_cluster_arn: str | None = None
    role_type: str | None = None
    role_credentials: IAMRoleCredentials | None = None


class IAMRoleCredentialsAckRequest(_Shape, frozen=True, kw_only=True):
    """The agent holds these credentials now; ``expiration`` is echoed to the letter."""

    message_id: str | None = None
    expiration: str | None = None
    credentials_id: str | None = None


# --- task and its parts ------------------------------------------------------------------------------------


class DockerConfig(_Shape, frozen=True, kw_only=True):
    """``config`` and ``host_config`` are the Engine API's JSON documents of those names, as text."""

    version: str | None = None
    config: str | None = None
    host_config: str | None = None


class PortMapping(_Shape, frozen=True, kw_only=True):
    """``protocol`` is ``tcp`` or ``udp`` in lower case.

    A ``host_port`` of 0 or None asks for a dynamic one.
    """

    container_port: int | None = None
    host_port: int | None = None
    container_port_range: str | None = None
    protocol: str | None = None


class MountPoint(_Shape, frozen=True, kw_only=True):
    source_volume: str | None = None
    container_path: str | None = None
    read_only: bool | None = None


class VolumeFrom(_Shape, frozen=True, kw_only=True):
    source_container: str | None = None
    read_only: bool | None = None


class EnvironmentFile(_Shape, frozen=True, kw_only=True):
    value: str | None = None
    type: str | None = None


class RestartPolicy(_Shape, frozen=True, kw_only=True):
    """``restart_attempt_period`` is in seconds."""

    enabled: bool | None = None
    ignored_exit_codes: tuple[int, ...] = ()
    restart_attempt_period: int | None = None


class KernelCapabilities(_Shape, frozen=True, kw_only=True):
    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


class Device(_Shape, frozen=True, kw_only=True):
    """``permissions`` are ``read``, ``write`` and ``mknod``."""

    host_path: str | None = None
    container_path: str | None = None
    permissions: tuple[str, ...] = ()


class LinuxParameters(_Shape, frozen=True, kw_only=True):
    """In the schema, but amazon-ecs-agent ignores it: what counts stands in ``DockerConfig.host_config``."""

    capabilities: KernelCapabilities | None = None
    devices: tuple[Device, ...] = ()
    init_process_enabled: bool | None = None
    shared_memory_size: int | None = None


class ManagedAgent(_Shape, frozen=True, kw_only=True):
    name: str | None = None
    properties: dict[str, str] | None = None


class ECRAuthData(_Shape, frozen=True, kw_only=True):
    registry_id: str | None = None
    region: str | None = None
    endpoint_override: str | None = None
    use_execution_role: bool | None = None


class ASMAuthData(_Shape, frozen=True, kw_only=True):
    credentials_parameter: str | None = None
    region: str | None = None


class RegistryAuthenticationData(_Shape, frozen=True, kw_only=True):
    """``type`` is ``ecr`` or ``asm``."""

    type: str | None = None
    ecr_auth_data: ECRAuthData | None = None
    asm_auth_data: ASMAuthData | None = None


class Secret(_Shape, frozen=True, kw_only=True):
    """``type`` is ``ENVIRONMENT_VARIABLE``, ``MOUNT_POINT`` or ``BOOTSTRAP``.

    ``provider`` is ``ssm`` or ``asm``.
    """

    name: str | None = None
    value_from: str | None = None
    container_path: str | None = None
    type: str | None = None
    region: str | None = None
    provider: str | None = None
    target: str | None = None


class ContainerDependency(_Shape, frozen=True, kw_only=True):
    """``condition`` is ``START``, ``COMPLETE``, ``SUCCESS`` or ``HEALTHY``."""

    container_name: str | None = None
    condition: str | None = None


class FirelensConfiguration(_Shape, frozen=True, kw_only=True):
    type: str | None = None
    options: dict[str, str] | None = None


class Container(_Shape, frozen=True, kw_only=True):
    """One container of a task.

    ``overrides`` is JSON text that may hold ``command`` only; timeouts are seconds.
    """

    name: str | None = None
    image: str | None = None
    command: tuple[str, ...] = ()
    entry_point: tuple[str, ...] | None = None
    cpu: int | None = None
    memory: int | None = None
    environment: dict[str, str] | None = None
    environment_files: tuple[EnvironmentFile, ...] = ()
    essential: bool | None = None
    restart_policy: RestartPolicy | None = None
    links: tuple[str, ...] = ()
    overrides: str | None = None
    port_mappings: tuple[PortMapping, ...] = ()
    mount_points: tuple[MountPoint, ...] = ()
    volumes_from: tuple[VolumeFrom, ...] = ()
    linux_parameters: LinuxParameters | None = None
    privileged: bool | None = None
    managed_agents: tuple[ManagedAgent, ...] = ()
    network_interface_names: tuple[str, ...] = ()
    docker_config: DockerConfig | None = None
    health_check_type: str | None = None
    registry_authentication: RegistryAuthenticationData | None = None
    logs_auth_strategy: str | None = None
    secrets: tuple[Secret, ...] = ()
    depends_on: tuple[ContainerDependency, ...] = ()
    start_timeout: int | None = None
    stop_timeout: int | None = None
    firelens_configuration: FirelensConfiguration | None = None
    credential_specs: tuple[str, ...] = ()
    container_arn: str | None = None

    def __repr__(self) -> str:
        return f"Container(name={self.name!r}, image={self.image!r})"


class HostVolumeProperties(_Shape, frozen=True, kw_only=True):
    """Without ``source_path`` the volume is an anonymous, empty one."""

    source_path: str | None = None


class DockerVolumeConfiguration(_Shape, frozen=True, kw_only=True):
    """``scope`` is ``task`` or ``shared``."""

    scope: str | None = None
    autoprovision: bool | None = None
    driver: str | None = None
    driver_opts: dict[str, str] | None = None
    labels: dict[str, str] | None = None


class EFSAuthorizationConfig(_Shape, frozen=True, kw_only=True):
    access_point_id: str | None = None
    iam: str | None = None


class EFSVolumeConfiguration(_Shape, frozen=True, kw_only=True):
    file_system_id: str | None = None
    root_directory: str | None = None
    transit_encryption: str | None = None
    transit_encryption_port: int | None = None
    authorization_config: EFSAuthorizationConfig | None = None


class Volume(_Shape, frozen=True, kw_only=True):
    """``type`` is absent or ``host`` (then ``host`` must be present), ``docker`` or ``efs``."""

    name: str | None = None
    type: str | None = None
    host: HostVolumeProperties | None = None
    docker_volume_configuration: DockerVolumeConfiguration | None = None
    efs_volume_configuration: EFSVolumeConfiguration | None = None


class IPv4AddressAssignment(_Shape, frozen=True, kw_only=True):
    private_address: str | None = None
    primary: bool | None = None


class IPv6AddressAssignment(_Shape, frozen=True, kw_only=True):
    address: str | None = None
    primary: bool | None = None


class NetworkInterfaceTunnelProperties(_Shape, frozen=True, kw_only=True):
    tunnel_id: str | None = None
    interface_ip_address: str | None = None


class NetworkInterfaceVethProperties(_Shape, frozen=True, kw_only=True):
    peer_interface: str | None = None


class NetworkInterfaceVlanProperties(_Shape, frozen=True, kw_only=True):
    vlan_id: str | None = None
    trunk_interface_mac_address: str | None = None


class ElasticNetworkInterface(_Shape, frozen=True, kw_only=True):
    name: str | None = None
    mac_address: str | None = None
    attachment_arn: str | None = None
    ec2_id: str | None = None
    index: int | None = None
    interface_association_protocol: str | None = None
    interface_tunnel_properties: NetworkInterfaceTunnelProperties | None = None
    interface_veth_properties: NetworkInterfaceVethProperties | None = None
    interface_vlan_properties: NetworkInterfaceVlanProperties | None = None
    ipv4_addresses: tuple[IPv4AddressAssignment, ...] = ()
    ipv6_addresses: tuple[IPv6AddressAssignment, ...] = ()
    domain_name: tuple[str, ...] = ()
    domain_name_servers: tuple[str, ...] = ()
    private_dns_name: str | None = None
    subnet_gateway_ipv4_address: str | None = None
    subnet_gateway_ipv6_address: str | None = None


class EncodedString(_Shape, frozen=True, kw_only=True):
    """``encoding`` is ``identity`` or ``base64``."""

    value: str | None = None
    encoding: str | None = None


class Association(_Shape, frozen=True, kw_only=True):
    """A device given to containers of the task; ``type`` is ``gpu`` or ``elastic-inference``."""

    name: str | None = None
    type: str | None = None
    content: EncodedString | None = None
    containers: tuple[str, ...] = ()


class ProxyConfiguration(_Shape, frozen=True, kw_only=True):
    type: str | None = None
    container_name: str | None = None
    properties: dict[str, str] | None = None


class AttachmentProperty(_Shape, frozen=True, kw_only=True):
    name: str | None = None
    value: str | None = None


class Attachment(_Shape, frozen=True, kw_only=True):
    attachment_arn: str | None = None
    attachment_type: str | None = None
    attachment_properties: tuple[AttachmentProperty, ...] = ()


class TrustedExecutionConfiguration(_Shape, frozen=True, kw_only=True):
    isolation_mode: str | None = None


class Task(_Shape, frozen=True, kw_only=True):
    """A task as the agent shall have it. ``cpu`` is in **vCPUs** (0.5), ``version`` the revision as text.

    ``desired_status`` is ``RUNNING`` or ``STOPPED``; a stop carries the complete task too.
    """

    arn: str | None = None
    task_cluster_arn: str | None = None
    containers: tuple[Container, ...] = ()
    desired_status: str | None = None
    family: str | None = None
    version: str | None = None
    overrides: str | None = None
    zone: str | None = None
    task_definition_account_id: str | None = None
    volumes: tuple[Volume, ...] = ()
    role_credentials: IAMRoleCredentials | None = None
    execution_role_credentials: IAMRoleCredentials | None = None
    elastic_network_interfaces: tuple[ElasticNetworkInterface, ...] = ()
    cpu: float | None = None
    memory: int | None = None
    associations: tuple[Association, ...] = ()
    pid_mode: str | None = None
    ipc_mode: str | None = None
    proxy_configuration: ProxyConfiguration | None = None
    agent_configuration: str | None = None
    launch_type: str | None = None
    attachments: tuple[Attachment, ...] = ()
    network_mode: str | None = None
    service_name: str | None = None
    group: str | None = None
    enable_fault_injection: bool | None = None
    trusted_execution_configuration: TrustedExecutionConfiguration | None = None


# --- controller to agent -----------------------------------------------------------------------------------


class HeartbeatMessage(_Shape, frozen=True, kw_only=True):
    """A sign of life that the agent answers at once."""

    message_id: str | None = None
    healthy: bool | None = None


class PayloadMessage(_Shape, frozen=True, kw_only=True):
    """Tasks to start or stop. ``message_id`` and both ARNs are required."""

    cluster_arn: str | None = None
    container_instance_arn: str | None = None
    tasks: tuple[Task, ...] = ()
    generated_at: int | None = None
    message_id: str | None = None
    seq_num: int | None = None
    timeline: int | None = None


class TaskIdentifier(_Shape, frozen=True, kw_only=True):
    task_arn: str | None = None
    task_cluster_arn: str | None = None
    desired_status: str | None = None


class TaskManifestMessage(_Shape, frozen=True, kw_only=True):
    """Every task that the controller wants on this instance.

    Stale if ``timeline`` is not above every earlier mark.
    """

    cluster_arn: str | None = None
    container_instance_arn: str | None = None
    tasks: tuple[TaskIdentifier, ...] = ()
    generated_at: int | None = None
    message_id: str | None = None
    timeline: int | None = None


class TaskStopVerificationAck(_Shape, frozen=True, kw_only=True):
    """Which of the agent's stop candidates shall really stop; ``message_id`` is the manifest's."""

    generated_at: int | None = None
    message_id: str | None = None
    stop_tasks: tuple[TaskIdentifier, ...] = ()


class AttachTaskNetworkInterfacesMessage(_Shape, frozen=True, kw_only=True):
    cluster_arn: str | None = None
    container_instance_arn: str | None = None
    task_arn: str | None = None
    task_cluster_arn: str | None = None
    generated_at: int | None = None
    message_id: str | None = None
    wait_timeout_ms: int | None = None
    elastic_network_interfaces: tuple[ElasticNetworkInterface, ...] = ()


class AttachInstanceNetworkInterfacesMessage(_Shape, frozen=True, kw_only=True):
    cluster_arn: str | None = None
    container_instance_arn: str | None = None
    generated_at: int | None = None
    message_id: str | None = None
    wait_timeout_ms: int | None = None
    elastic_network_interfaces: tuple[ElasticNetworkInterface, ...] = ()


class ConfirmAttachmentMessage(_Shape, frozen=True, kw_only=True):
    cluster_arn: str | None = None
    container_instance_arn: str | None = None
    task_arn: str | None = None
    task_cluster_arn: str | None = None
    generated_at: int | None = None
    message_id: str | None = None
    wait_timeout_ms: int | None = None
    attachment: Attachment | None = None


class VersionInfo(_Shape, frozen=True, kw_only=True):
    """Where an update of the agent lies; ``signature`` is its SHA-256 in hex."""

    location: str | None = None
    signature: str | None = None


class StageUpdateMessage(_Shape, frozen=True, kw_only=True):
    cluster_arn: str | None = None
    container_instance_arn: str | None = None
    message_id: str | None = None
    update_info: VersionInfo | None = None


class PerformUpdateMessage(_Shape, frozen=True, kw_only=True):
    cluster_arn: str | None = None
    container_instance_arn: str | None = None
    message_id: str | None = None
    update_info: VersionInfo | None = None


class CloseMessage(_Shape, frozen=True, kw_only=True):
    message: str | None = None


class ErrorMessage(_Shape, frozen=True, kw_only=True):
    message: str | None = None


class ServerException(_Shape, frozen=True, kw_only=True):
    message: str | None = None


class BadRequestException(_Shape, frozen=True, kw_only=True):
    message: str | None = None


class InvalidClusterException(_Shape, frozen=True, kw_only=True):
    message: str | None = None


class InvalidInstanceException(_Shape, frozen=True, kw_only=True):
    message: str | None = None


class AccessDeniedException(_Shape, frozen=True, kw_only=True):
    message: str | None = None


class InactiveInstanceException(_Shape, frozen=True, kw_only=True):
    message: str | None = None


# --- agent to controller -----------------------------------------------------------------------------------


class HeartbeatAckRequest(_Shape, frozen=True, kw_only=True):
    message_id: str | None = None


class AckRequest(_Shape, frozen=True, kw_only=True):
    """The message was accepted and is durable on the agent.

    It says nothing about what became of its tasks.
    """

    cluster: str | None = None
    container_instance: str | None = None
    message_id: str | None = None


class NackRequest(_Shape, frozen=True, kw_only=True):
    cluster: str | None = None
    container_instance: str | None = None
    message_id: str | None = None
    reason: str | None = None


class TaskStopVerificationMessage(_Shape, frozen=True, kw_only=True):
    """Tasks that the agent runs and the manifest does not want running; ``message_id`` is the manifest's."""

    message_id: str | None = None
    stop_candidates: tuple[TaskIdentifier, ...] = ()


TO_AGENT: tuple[type[msgspec.Struct], ...] = (
    HeartbeatMessage,
    PayloadMessage,
    IAMRoleCredentialsMessage,
    TaskManifestMessage,
    TaskStopVerificationAck,
    AttachTaskNetworkInterfacesMessage,
    AttachInstanceNetworkInterfacesMessage,
    ConfirmAttachmentMessage,
    StageUpdateMessage,
    PerformUpdateMessage,
    CloseMessage,
    ErrorMessage,
    ServerException,
    BadRequestException,
    InvalidClusterException,
    InvalidInstanceException,
    AccessDeniedException,
    InactiveInstanceException,
)
"""What a controller sends."""

TO_CONTROLLER: tuple[type[msgspec.Struct], ...] = (
    HeartbeatAckRequest,
    AckRequest,
    NackRequest,
    IAMRoleCredentialsAckRequest,
    TaskStopVerificationMessage,
)
"""What an agent sends."""
