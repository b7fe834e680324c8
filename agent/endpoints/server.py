"""A local HTTP server that keeps trying to listen: a taken port is said, never fatal."""

import asyncio

import structlog
from aiohttp import web

from agent.config_values import Address

log = structlog.get_logger(__name__)

_FIRST_RETRY_S = 1.0
_LAST_RETRY_S = 30.0
_SHUTDOWN_S = 1.0


class LocalServer:
    """Serves one application on one address."""

    def __init__(self, name: str, address: Address, application: web.Application) -> None:
        """``name`` is for the log."""
        self._name = name
        self._address = address
        self._application = application
        self._bound: asyncio.Future[Address] | None = None

    async def bound(self) -> Address:
        """Wait until it listens; the address has the port that the system chose if port 0 was asked for."""
        return await asyncio.shield(self._future())

    async def run(self) -> None:
        """Serve for ever, from as soon as the address is free."""
        runner = web.AppRunner(self._application, access_log=None, shutdown_timeout=_SHUTDOWN_S)
        await runner.setup()
        try:
            await self._listen(runner)
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    async def _listen(self, runner: web.AppRunner) -> None:
        pause = _FIRST_RETRY_S
        while True:
            try:
                await web.TCPSite(runner, self._address.host, self._address.port).start()
            except OSError as error:
                log.warning(
                    "endpoint_not_listening",
                    endpoint=self._name,
                    address=str(self._address),
                    reason=str(error),
                    retry_in_s=pause,
                )
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LAST_RETRY_S)
            else:
                address = Address(*runner.addresses[0][:2])
                log.info("endpoint_listening", endpoint=self._name, address=str(address))
                self._future().set_result(address)
                return

    def _future(self) -> "asyncio.Future[Address]":
        if self._bound is None:
            self._bound = asyncio.get_running_loop().create_future()
        return self._bound
