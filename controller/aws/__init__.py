"""The real AWS: asked with a profile that the operator names for it, and never otherwise."""
