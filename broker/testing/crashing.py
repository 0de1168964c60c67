"""`@pytest.mark.every_crash_point`: a test is run once more for each point at which a process can die on the way of its flows.

The first run finds the points: each service is in a process of its own, and says which it passes. Then the test is run for each
service and point: the process ends there as kill -9 would end it, is started again, and the test has to hold all the same.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from _pytest.runner import runtestprotocol

from broker._crash_points import CrashPoint
from broker.testing.deployment import Deployment

MARK = "every_crash_point"


@dataclass(frozen=True, slots=True)
class Death:
    """That a service's process ends at a point."""

    service: str
    point: CrashPoint

    def __str__(self) -> str:
        return f"{self.service} dies at {self.point.name}"


@dataclass(slots=True)
class Course:
    """How a marked test is run. death: of which service, where; None in the first run, which finds what was `passed`."""

    death: Death | None = None
    passed: list[Death] = field(default_factory=list)


COURSE = pytest.StashKey[Course]()


def run(item: pytest.Function, nextitem: pytest.Item | None) -> None:
    """Runs a marked test in all its courses; each is reported as a run of the test."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    # Whoever comes next decides what is torn down: a sibling leaves all but the test's own fixtures.
    sibling = pytest.Function.from_parent(item.parent, name=f"{item.name} again", callobj=item.obj)
    first = item.stash[COURSE] = Course()
    passed = all(report.passed for report in runtestprotocol(item, nextitem=sibling))
    for death in first.passed if passed else ():
        item.stash[COURSE] = Course(death)
        for report in runtestprotocol(item, log=False, nextitem=sibling):
            path, line, name = report.location
            report.location = path, line, f"{name} [{death}]"
            item.ihook.pytest_runtest_logreport(report=report)
    item.session._setupstate.teardown_exact(nextitem)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)


@asynccontextmanager
async def on_course(deployment: Deployment, item: pytest.Item) -> AsyncIterator[None]:
    """Inside, a marked test's services are in processes of their own, one of which is to die; those of others are not."""
    course = item.stash.get(COURSE, None)
    if course is None:
        for name in list(deployment.processes):
            await deployment.move_in(name)
        yield
        return
    for name in deployment.under_test - deployment.processes.keys():
        await deployment.move_out(name)
    death = course.death
    for name, process in deployment.processes.items():
        await process.arm(death.point if death is not None and death.service == name else None)
    yield
    if death is None:
        course.passed += [Death(name, point) for name, process in deployment.processes.items() for point in process.passed]
        return
    process = deployment.processes[death.service]
    # A flow is over with its last commit, and the process may die just behind it.
    await process.is_back()
    if process.died_at[-1:] != [death.point]:
        warnings.warn(f"{death}: not passed this time", pytest.PytestWarning, stacklevel=1)
