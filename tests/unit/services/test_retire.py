"""Client tokens leave the state a day after they were used, whatever restarts and clocks do."""

from __future__ import annotations

import asyncio
from pathlib import Path

from controller.services.retire import KEEP_TOKENS_S, TURN_INTERVAL_S, Retirement
from controller.state.changes import Cause
from controller.state.entities import RunTaskToken
from controller.state.opening import open_state
from controller.state.store.sqlite import SqliteStore
from tests.support.clock import FakeClock


async def test_a_client_token_is_forgotten_after_a_day_and_a_wall_clock_jump_forgets_nothing(
    tmp_path: Path, fake_clock: FakeClock
) -> None:
    state = await open_state(SqliteStore(tmp_path / "state.db", account="0", region="r"), fake_clock)
    with state.transaction(Cause("start")) as transaction:
        transaction.put(token("loaded", fake_clock.now() - KEEP_TOKENS_S / 2))
    retirement = Retirement(state, fake_clock)
    working = [asyncio.create_task(state.run()), asyncio.create_task(retirement.run())]
    try:
        with state.transaction(Cause("start")) as transaction:
            transaction.put(token("new", fake_clock.now()))
        fake_clock.jump_wall(10 * KEEP_TOKENS_S)
        await asyncio.sleep(KEEP_TOKENS_S / 2 + 2 * TURN_INTERVAL_S)
        assert list(state.read().all(RunTaskToken)) == ["default/new"]
        await asyncio.sleep(KEEP_TOKENS_S / 2 + 2 * TURN_INTERVAL_S)
        assert not state.read().all(RunTaskToken)
    finally:
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        await state.close()


def token(name: str, created_at: float) -> RunTaskToken:
    """A token of a call that started nothing."""
    return RunTaskToken(cluster="default", token=name, fingerprint="f", tasks=(), created_at=created_at)
