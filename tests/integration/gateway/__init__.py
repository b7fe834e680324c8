"""The gateway against real websockets, spoken to as agents speak."""
