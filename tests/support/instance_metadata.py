"""EC2's instance metadata service, as far as agents use it: version 2, with notices that a test can give."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

INSTANCE_ID = "i-0123456789abcdef0"
DOCUMENT: dict[str, Any] = {
    "accountId": "123456789012",
    "architecture": "x86_64",
    "availabilityZone": "eu-central-1b",
    "imageId": "ami-0abcdef1234567890",
    "instanceId": INSTANCE_ID,
    "instanceType": "m7i.large",
    "privateIp": "10.0.0.7",
    "region": "eu-central-1",
    "version": "2017-09-30",
}
_TOKEN_HEADER = "X-aws-ec2-metadata-token"


class FakeInstanceMetadata:
    """Answers below ``/latest`` from ``values``, to requests with a token only."""

    def __init__(self) -> None:
        self.values = {
            "dynamic/instance-identity/document": json.dumps(DOCUMENT),
            "dynamic/instance-identity/signature": "c2lnbmF0dXJl",
            "meta-data/instance-life-cycle": "spot",
        }
        self.asked: list[str] = []
        self.silent = False
        """Take requests and answer none, as a network that drops packets does."""
        self.tokens: list[str] = []
        self.url = ""

    def interrupt(self, action: str = "terminate") -> None:
        """Give the notice that the spot instance goes in two minutes."""
        self.values["meta-data/spot/instance-action"] = json.dumps(
            {"action": action, "time": "2026-01-02T03:04:05Z"}
        )

    def recommend_rebalance(self) -> None:
        """Give the notice that the instance is likely to go."""
        self.values["meta-data/events/recommendations/rebalance"] = '{"noticeTime":"2026-01-02T03:04:05Z"}'

    def tag(self, **tags: str) -> None:
        """Allow tags in the metadata, and have these."""
        self.values["meta-data/tags/instance"] = "\n".join(tags)
        self.values |= {f"meta-data/tags/instance/{key}": value for key, value in tags.items()}

    def forget_tokens(self) -> None:
        """Take no token any more that was given so far."""
        self.tokens.clear()

    async def _answer(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        self.asked.append(f"{request.method} {path}")
        while self.silent:
            await asyncio.sleep(0.01)
        if request.method == "PUT" and path == "api/token":
            assert int(request.headers[f"{_TOKEN_HEADER}-ttl-seconds"]) in range(1, 21601)
            self.tokens.append(f"token-{len(self.asked)}")
            return web.Response(text=self.tokens[-1])
        if request.headers.get(_TOKEN_HEADER) not in self.tokens:
            return web.Response(status=401)
        if path not in self.values:
            return web.Response(status=404, text="<html>404 - Not Found</html>")
        return web.Response(text=self.values[path])

    async def _serve(self, started: threading.Event, ended: asyncio.Event) -> None:
        application = web.Application()
        application.router.add_route("*", "/latest/{path:.*}", self._answer)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        started.set()
        await ended.wait()
        self.silent = False
        await runner.cleanup()

    @contextmanager
    def serving(self) -> Iterator["FakeInstanceMetadata"]:
        """Serve on loopback, in a thread, so that tests without an event loop can have it too."""
        loop, started, ended = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
        thread = threading.Thread(
            target=loop.run_until_complete, args=(self._serve(started, ended),), name="instance metadata"
        )
        thread.start()
        try:
            assert started.wait(10)
            yield self
        finally:
            loop.call_soon_threadsafe(ended.set)
            thread.join(10)
            loop.close()
