"""Processes of tests that are to be killed: `start(main, …)`.

They are forked from one that has imported everything, so that a killed one is replaced in a tenth of a second. Each ends with
the test's own process, however that ends.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
from collections.abc import Awaitable, Callable
from multiprocessing.context import ForkServerProcess
from typing import Any, ParamSpec

import uvloop

P = ParamSpec("P")

_processes = multiprocessing.get_context("forkserver")
_preloaded: dict[str, None] = {}


def preload(*modules: str) -> None:
    """Has these modules imported once for all processes, as long as none was started; what is not, each imports by itself."""
    _preloaded.update(dict.fromkeys(modules))
    _processes.set_forkserver_preload(["__main__", *_preloaded])


def start(main: Callable[P, Awaitable[None]], *args: P.args, **kwargs: P.kwargs) -> ForkServerProcess:
    """A process that runs this coroutine function, which stands in a module of its own; the arguments are pickled."""
    process = _processes.Process(target=_run, args=(main, args, kwargs), daemon=True)
    process.start()
    return process


def _run(main: Callable[..., Awaitable[None]], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    async def until_the_test_ends() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None
        gc.freeze()  # What it was forked with is never searched for garbage, which would copy all of it; the rest less often.
        gc.set_threshold(7000, 10, 10)
        asyncio.get_running_loop().add_reader(parent.sentinel, os._exit, 1)
        await main(*args, **kwargs)

    uvloop.run(until_the_test_ends())
