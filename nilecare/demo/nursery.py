"""`nilecare` commands in processes of their own, forked from one that has imported the platform: ten start as fast as one."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from broker.servers.home import CHECKOUT
from broker.servers.processes import MARK, marked
from nilecare.cli import main

LATE = (
    "anyio._backends._asyncio",
    "certifi",
    "httpcore",
    "pydantic.v1",
    "uvicorn.lifespan.off",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
)
"""What others import only when a service starts."""

PRELOADED = ["nilecare.demo.preloaded", "nilecare.run", "nilecare.simulator", *LATE]
"""What every process of the demo needs, imported once for all of them."""

_nursery = multiprocessing.get_context("forkserver")


def start(arguments: Sequence[str], *, home: Path, log: Path, environment: Mapping[str, str]) -> ForkServerProcess:
    """Starts `nilecare <arguments>` in the background, marked with its stack's folder, in a session of its own.

    Its log goes on where it was. Of this process's environment it has what a spawned one would have.
    """
    _nursery.set_forkserver_preload(PRELOADED)  # counts for the first process alone
    process = _nursery.Process(target=_run, args=(list(arguments), log, marked(environment, home=home)), daemon=True)
    before = dict(os.environ)
    # What the first process of all is started with marks it and all that are forked from it.
    os.environ[MARK] = str(home)
    try:
        process.start()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return process


def _run(arguments: list[str], log: Path, environment: dict[str, str]) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(CHECKOUT)
    with log.open("ab") as output:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(output.fileno(), stream.fileno())
    sys.argv = ["nilecare", *arguments]
    main()
