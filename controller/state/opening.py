"""Opening the state: take the store over, load every record, and hand out the state that everything else
works on."""

from __future__ import annotations

import asyncio
import gc
import sys
from concurrent.futures import ThreadPoolExecutor

import structlog

from agent.protocol.clock import Clock
from controller.state.codec import decode
from controller.state.entities import Entity
from controller.state.flusher import Flusher
from controller.state.history import History
from controller.state.kernel import State
from controller.state.store.interface import Meta, Store

log = structlog.get_logger(__name__)

SWITCH_INTERVAL_S = 0.00005
"""Seconds after which a thread that waits for the interpreter asks for it. A busy event loop lets go of it
for microseconds at each poll, which wakes the waiting thread too late and begins its wait anew: at Python's
own 5 ms a flush under full load was seen to wait for 25 s, at this for a tenth of one."""


async def open_state(store: Store, clock: Clock) -> State:
    """Take a store over and load it.

    Raises:
        StoreError: the store cannot be read or written.
        StoreTooNew: a newer version wrote it.
        StoreCorrupt: it is damaged.
    """
    loop = asyncio.get_running_loop()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    started = clock.monotonic()
    meta, entities, last_seq = await loop.run_in_executor(None, _load, store)
    # Two threads of their own: a slow read of history must not hold up a flush.
    writer = ThreadPoolExecutor(1, thread_name_prefix="flush")
    reader = ThreadPoolExecutor(1, thread_name_prefix="history")
    flusher = Flusher(store.flush, writer, clock, last_seq)
    state = State(meta, flusher, History(store, flusher, reader, clock), clock)
    state.on_close(writer.shutdown, reader.shutdown, store.close)
    state.restore(entities)
    # What was loaded lives long: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    log.info(
        "state_loaded",
        records=len(entities),
        epoch=meta.epoch,
        seq=last_seq,
        seconds=round(clock.monotonic() - started, 3),
    )
    return state


def _load(store: Store) -> tuple[Meta, list[Entity], int]:
    meta = store.take_over()
    last_seq = meta.seq
    entities = []
    for record in store.load():
        last_seq = max(last_seq, record.seq)
        entities.append(decode(record))
    return meta, entities, last_seq
