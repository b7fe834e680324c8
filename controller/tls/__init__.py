"""TLS of the controller's port: a certificate that was given, or one by an authority of its own."""
