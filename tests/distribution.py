"""Which worker of pytest-xdist runs what, and when: the longest first, so that no core waits for the other at the end."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

LONGEST: tuple[tuple[str, ...], ...] = (
    (
        "tests/flows/test_operations.py",
        "tests/flows/test_operations_browser.py",
        "tests/flows/test_operations_pages.py",
    ),
    ("tests/flows/",),
    (
        "tests/faults/test_servers.py",
        "tests/faults/test_replicas_killed.py",
        "tests/faults/test_replay_asked_for.py",
        "tests/broker/test_subscriber.py",
        "tests/broker/servers/test_start.py",
    ),
    ("tests/nilecare/test_demo.py",),
    ("tests/faults/test_crash_points.py",),
    ("tests/fuzz/test_apis.py",),
    ("tests/faults/test_processes.py",),
    ("tests/docs/test_adding_a_service.py",),
    ("tests/nilecare/test_load.py",),
    ("tests/broker/test_relay.py",),
    ("tests/benchmarks/test_benchmarks.py",),
    ("tests/broker/testing/",),
    ("tests/faults/test_releases.py",),
    ("tests/broker/servers/test_binaries.py",),
    ("tests/nilecare/test_run.py",),
    ("tests/faults/test_poison.py",),
    ("tests/faults/test_shovels.py",),
    ("tests/nilecare/test_cli.py",),
    ("tests/broker/test_replay_killed.py",),
    ("tests/broker/test_calls_killed.py",),
)
"""What takes longest, ten seconds at least, in the order in which it begins. After it come the files with most tests.

What stands together is one piece of work, and stays on one worker: the flows share a platform, which takes longer to start and
to check than most of them, and those that kill servers share the servers that they kill. A file belongs to the first that names
it: those of flows about operations have a platform of their own, because all on one would be the last to end.
"""

_PLACES = {piece[0]: place for place, piece in enumerate(LONGEST)}


class LongestFirst(LoadFileScheduling):
    """Each file goes to one worker as a whole, and so does each piece of LONGEST."""

    def _split_scope(self, nodeid: str) -> str:
        return next((piece[0] for piece in LONGEST if nodeid.startswith(piece)), super()._split_scope(nodeid))

    def _assign_work_unit(self, node: WorkerController) -> None:
        self.workqueue.move_to_end(min(self.workqueue, key=_rank), last=False)
        super()._assign_work_unit(node)


def _rank(name: str) -> int:
    return _PLACES.get(name, len(LONGEST))
