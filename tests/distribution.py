"""Which worker of pytest-xdist runs what, and when: the longest first, so that no core waits for the other at the end."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

LONGEST = (
    "tests/flows/",
    "tests/nilecare/test_load.py",
    "tests/docs/test_adding_a_service.py",
    "tests/faults/test_servers.py",
    "tests/faults/test_replicas_killed.py",
    "tests/broker/test_relay.py",
    "tests/nilecare/test_run.py",
    "tests/nilecare/test_demo.py",
    "tests/fuzz/test_apis.py",
)
"""What takes longest, in the order in which it begins. After it come the files with most tests.

A folder among them is one piece of work, and stays on one worker: the flows share a platform, which takes longer to start and
to check than most of them.
"""


class LongestFirst(LoadFileScheduling):
    """Each file goes to one worker as a whole, and so does each folder of LONGEST."""

    def _split_scope(self, nodeid: str) -> str:
        return next((place for place in LONGEST if nodeid.startswith(place)), super()._split_scope(nodeid))

    def _assign_work_unit(self, node: WorkerController) -> None:
        self.workqueue.move_to_end(min(self.workqueue, key=_rank), last=False)
        super()._assign_work_unit(node)


def _rank(place: str) -> int:
    return LONGEST.index(place) if place in LONGEST else len(LONGEST)
