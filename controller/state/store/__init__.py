"""Stores: where records are durable. The only rooms that know SQL."""
