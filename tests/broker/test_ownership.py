"""A service that would say what is not its own does not start."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from uuid import UUID

import pytest
from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from broker import DeclarationError, Service, StateOwner, publishes_state
from broker._ownership import check_ownership
from contracts.event import Event, StateEvent
from nilecare.platform import services


class Sold(Event, name="parcel.sold", version=1, key="parcel_id", publisher="shop"):
    """A parcel was sold."""

    parcel_id: UUID


class Moved(Event, name="parcel.moved", version=1, key="parcel_id", publisher="post"):
    """A parcel was moved."""

    parcel_id: UUID


class ParcelChanged(StateEvent, name="parcel.changed", version=1, key="parcel_id", publisher="shop"):
    """A parcel's state."""

    parcel_id: UUID


Package = Callable[[str], ModuleType]


@pytest.fixture
def handlers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Makes a package with a module `handlers` of this source."""

    def make(source: str) -> ModuleType:
        folder = tmp_path / "posting"
        folder.mkdir()
        (folder / "__init__.py").touch()
        (folder / "handlers.py").write_text(
            f"from broker import publish, schedule\nfrom {__name__} import Moved, Sold\n\n\n{source}"
        )
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "posting", raising=False)
        monkeypatch.delitem(sys.modules, "posting.handlers", raising=False)
        import posting.handlers  # type: ignore[import-not-found]

        module: ModuleType = posting.handlers
        return module

    return make


@pytest.mark.parametrize(
    "line",
    [
        "publish(session, Sold(parcel_id=key))",
        "publish(session, Sold.of(parcel))",
        'await schedule(session, Sold(parcel_id=key), at=then, name="sold")',
    ],
)
def test_publishing_another_service_s_event_is_refused(handlers: Package, line: str) -> None:
    """The sentence names the event, the line it stands in, and whose it is."""
    module = handlers(f"async def handle(session, key, parcel, then):\n    {line}\n")
    with pytest.raises(DeclarationError, match=r"post publishes parcel\.sold in posting\.handlers, line 6, .* belongs to shop"):
        check_ownership(Service(name="post", port=1, contracts=ModuleType("none"), handlers=module))


def test_publishing_one_s_own_event_is_fine(handlers: Package) -> None:
    """The check does not refuse what every service does."""
    module = handlers("async def handle(session, key):\n    publish(session, Moved(parcel_id=key))\n")
    check_ownership(Service(name="post", port=1, contracts=ModuleType("none"), handlers=module))


def test_another_service_s_state_event_is_refused() -> None:
    """A mapped class cannot publish its state under somebody else's name."""

    class Base(DeclarativeBase):
        metadata = MetaData()

    @publishes_state(ParcelChanged)
    class Parcel(StateOwner, Base):
        __tablename__ = "parcel"

        parcel_id: Mapped[UUID] = mapped_column(primary_key=True)

    with pytest.raises(DeclarationError, match=r"Parcel of post publishes its state as parcel\.changed"):
        check_ownership(Service(name="post", port=1, contracts=ModuleType("none"), tables=Base.metadata))


@pytest.mark.parametrize("service", services(), ids=lambda service: service.name)
def test_every_service_says_only_what_is_its_own(service: Service) -> None:
    """The platform's services pass."""
    check_ownership(service)
