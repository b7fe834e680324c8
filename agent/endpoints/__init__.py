"""The agent's local HTTP servers: introspection and Prometheus metrics."""
