"""Real TLS for tests: who would be trusted, and who not."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def trusting(pem: str) -> ssl.SSLContext:
    """A client's context that trusts these authorities alone."""
    return ssl.create_default_context(cadata=pem)


@contextmanager
def accepting(context: ssl.SSLContext) -> Iterator[int]:
    """A server that shakes hands with everybody and does no more; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_serve, args=(server, context))
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(server: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return  # shut down
        try:
            with context.wrap_socket(connection, server_side=True) as secure:
                secure.recv(1)
        except OSError:
            connection.close()  # the client has refused


def presented(port: int, client: ssl.SSLContext, name: str = "127.0.0.1") -> bytes:
    """The server's certificate, verified by a client. Raises `ssl.SSLCertVerificationError`."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        client.wrap_socket(plain, server_hostname=name) as secure,
    ):
        certificate = secure.getpeercert(binary_form=True)
        assert certificate is not None
        return certificate
