"""What several kinds of tests share: a fake clock and loop, leak checks, real processes, and the engine."""
