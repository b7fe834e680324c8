"""What Prometheus learns about the agent's sessions with the controller."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class SessionMetrics:
    """The sessions' instruments."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.connected = Gauge(
            "homeport_agent_session_connected",
            "Whether the websocket to the controller is open (1) or not (0).",
            ["session"],
            registry=registry,
        )
        self.connections = Counter(
            "homeport_agent_session_connections",
            "Websockets to the controller that were opened.",
            ["session"],
            registry=registry,
        )
        self.call_seconds = Histogram(
            "homeport_agent_api_call_seconds",
            "How long calls of the controller's API take, by operation and outcome.",
            ["operation", "outcome"],
            registry=registry,
            buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
        )
        for session in ("acs", "tcs"):
            self.connected.labels(session).set(0)

    def opened(self, session: str) -> None:
        """A websocket was opened."""
        self.connections.labels(session).inc()
        self.connected.labels(session).set(1)

    def closed(self, session: str) -> None:
        """A websocket has ended."""
        self.connected.labels(session).set(0)
