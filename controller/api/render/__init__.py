"""Records as the API shows them: pure functions from entity to mapping."""
