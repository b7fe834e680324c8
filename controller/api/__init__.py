"""The front door: HTTP, signatures, authorisation, dispatch, input checks, and the operations."""
