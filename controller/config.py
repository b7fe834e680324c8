"""Settings of the controller."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ControllerConfig:
    """Everything that can be set. Each field's docstring gives its meaning, unit and reason."""

    data_dir: Path
    """Folder of the store, the key file, `client.json` and the metrics token; its owner's alone."""

    listen_host: str = "127.0.0.1"
    """Address to listen on. Loopback by default: without TLS nothing else is safe."""

    listen_port: int = 8480
    """Port to listen on; 0 takes a free one."""

    public_url: str | None = None
    """URL that agents and clients use, where it is not the one that they called (behind a proxy). Agents keep
    it for twelve hours."""

    database_url: str | None = None
    """SQLAlchemy URL of the store; None is SQLite in the data directory."""

    account: str = "000000000000"
    """Twelve digits that every ARN carries; fixed when the store is made."""

    region: str = "us-east-1"
    """Region that every ARN carries; fixed when the store is made."""

    cluster: str = "default"
    """Cluster to create at the first start beside `default`."""

    tls: str = "off"
    """`auto`: serve HTTPS with a certificate of an authority of this controller's own. `off`: plain HTTP, or
    HTTPS with the certificate that is given."""

    tls_certificate: Path | None = None
    """File with the server's certificate and those of intermediate authorities, in PEM, to serve HTTPS with.
    It needs `tls_key`, and `public_url` with a name that it is for."""

    tls_key: Path | None = None
    """File with the private key of `tls_certificate`, in PEM."""

    tls_authority: Path | None = None
    """File with the certificates that clients must trust for `tls_certificate`, where it is no public one."""

    tls_names: tuple[str, ...] = ()
    """Names and addresses for automatic certificates beside those that the machine knows of itself."""

    allow_plain_http: bool = False
    """Whether plain HTTP may be served beyond loopback: nothing then hides what is said."""

    log_format: str = "text"
    """`text` for people, `json` for machines."""

    log_level: str = "info"
    """Least severe level that is logged: debug, info, warning or error."""

    heartbeat_interval_s: float = 3.0
    """Seconds between heartbeats to an agent; it grows with the fleet. After three missed ones the agent does
    not count as connected."""

    healthy_after_s: float = 3.0
    """Seconds that a task without a health check must be RUNNING to count as healthy (ECS: 40)."""

    resend_after_s: float = 5.0
    """Seconds until an unacknowledged payload is sent again; doubles at each resend."""

    signature_tolerance_s: float = 300.0
    """Seconds that a signer's clock may be off, as AWS allows."""

    aws_profile: str | None = None
    """Profile with which the controller reads parameters, secrets, objects and registry logins of the real
    AWS and assumes its roles; `default` is whatever the SDK finds by itself. None: AWS is never asked."""

    role_credentials_lifetime_s: float = 6 * 3600.0
    """Seconds that credentials of a task's role hold; at half of them the agent gets new ones."""

    max_requests_in_flight: int = 1024
    """API requests handled at once; one more is told "Rate exceeded". Bounds what a burst can take."""

    max_body_bytes: int = 1024 * 1024
    """Longest request body in bytes. A task definition may be 64 KiB; reports stay far below this."""

    shutdown_timeout_s: float = 10.0
    """Seconds that an ordered shutdown may take before the process ends anyway; the store survives that."""

    @property
    def serves_tls(self) -> bool:
        """Whether HTTPS is served."""
        return self.tls == "auto" or self.tls_certificate is not None
