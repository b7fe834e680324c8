"""Where tasks go: pure functions from what the cluster holds to what is placed where, and why not."""
