"""A bound on the requests of each caller: a task that asks in a tight loop must not take the agent from the
others. In amazon-ecs-agent, too, every address has an allowance of its own.
"""

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from agent.config_endpoints import RateLimit
from agent.protocol.clock import Clock

MESSAGE = "You have reached maximum request limit."
"""The body with which amazon-ecs-agent answers status 429."""

_MOST_CALLERS = 1024


class TokenBucket:
    """Lets ``burst`` requests through at once, and ``per_second`` in the long run."""

    def __init__(self, limit: RateLimit, now: float) -> None:
        self._limit = limit
        self._tokens = float(limit.burst)
        self._counted_at = now

    def take(self, now: float) -> bool:
        """Whether one more request may pass at monotonic time ``now``."""
        self._count(now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def is_full(self, now: float) -> bool:
        """Whether nothing was taken lately."""
        self._count(now)
        return self._tokens >= self._limit.burst

    def _count(self, now: float) -> None:
        gained = (now - self._counted_at) * self._limit.per_second
        self._tokens = min(float(self._limit.burst), self._tokens + gained)
        self._counted_at = now


class Allowances:
    """A bucket for each caller; those of callers who have been quiet are forgotten."""

    def __init__(self, limit: RateLimit, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._buckets: dict[str, TokenBucket] = {}

    def allow(self, caller: str) -> bool:
        """Whether a request of ``caller`` may pass."""
        now = self._clock.monotonic()
        if caller not in self._buckets and len(self._buckets) >= _MOST_CALLERS:
            self._buckets = {name: each for name, each in self._buckets.items() if not each.is_full(now)}
        return self._buckets.setdefault(caller, TokenBucket(self._limit, now)).take(now)


def limited_to(limit: RateLimit, clock: Clock) -> Middleware:
    """A middleware that answers 429 to whatever exceeds ``limit``."""
    allowances = Allowances(limit, clock)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if allowances.allow(request.remote or ""):
            return await handler(request)
        headers = {"X-Rate-Limit-Limit": f"{limit.per_second:.2f}", "X-Rate-Limit-Duration": "1"}
        return web.Response(status=429, text=MESSAGE, headers=headers)

    return middleware
