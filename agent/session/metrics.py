"""What Prometheus learns about the agent's dealings with the controller."""

from prometheus_client import CollectorRegistry, Counter, Histogram


class SessionMetrics:
    """The sessions' instruments."""

    def __init__(self, registry: CollectorRegistry) -> None:
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
        self.submitted = Counter(
            "homeport_agent_state_changes_submitted",
            "State changes that the controller has acknowledged.",
            registry=registry,
        )
        self.retried = Counter(
            "homeport_agent_state_changes_retried",
            "Submissions of state changes that failed and are made again.",
            registry=registry,
        )
