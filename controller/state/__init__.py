"""State: typed records in memory, indexed, changed in transactions, flushed in groups, announced by a change
feed."""
