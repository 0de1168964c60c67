"""Synthea's files go through the services' own commands, once, and the money comes out as it is in the files."""

from __future__ import annotations

import csv
import os
import re
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from broker._platform import vhost_of
from broker._provision import provision
from broker.servers import Servers
from broker.testing.scratch import VirtualHosts, drop_platform, prepare
from nilecare.addresses import Platform
from nilecare.load import databases_of, load, running
from nilecare.platform import services
from nilecare.synthea.generate import Generator
from nilecare.synthea.read import FolderUnusable
from nilecare.synthea.report import NotTaken, Report

UUID_TEXT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _data() -> Path:
    given = os.environ.get("NILECARE_TEST_DATA")
    beside = Path(__file__).parents[3] / "shared" / "data"
    return (Path(given) if given else beside) / "synthea_csv" / "ohdsi_small"


@pytest.fixture(scope="module")
async def platform(servers: Servers) -> AsyncIterator[Platform]:
    """A platform for all loads, each of which is of facilities and patients of its own."""
    hosts = VirtualHosts(servers)
    amqp_url = await hosts()
    made = Platform(
        postgres_url=servers.postgres_url,
        amqp_url=amqp_url,
        management_url=servers.management_url,
        secret=secrets.token_hex(16),
        prefix=f"load_{vhost_of(amqp_url).removeprefix('test-')}",
    )
    await prepare(made, services())
    yield made
    await drop_platform(made, services())
    await hosts.drop()


@dataclass(frozen=True)
class Loaded:
    """A folder that was loaded: how many rows it has by kind, and what became of them."""

    folder: Path
    rows: dict[str, int]
    report: Report


@pytest.fixture(scope="module")
async def loaded(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """A folder that was loaded by a command that ran the services too."""
    folder = tmp_path_factory.mktemp("loaded")
    rows = Generator(patients=4, seed=3).write(folder)
    return Loaded(folder, rows, await load(folder, platform, run_services=True, quiet=True))


@pytest.fixture(scope="module")
async def at_work(platform: Platform) -> AsyncIterator[Platform]:
    """The platform, with its services running meanwhile."""
    await provision(platform, services())
    async with running(platform, services()):
        yield platform


def open_per_claim(folder: Path) -> dict[str, Decimal]:
    """Charges minus payments of each claim, as the files say."""
    open_: dict[str, Decimal] = defaultdict(Decimal)
    with (folder / "claims_transactions.csv").open() as file:
        for row in csv.DictReader(file):
            if row["TYPE"] == "CHARGE":
                open_[row["CLAIMID"]] += Decimal(row["AMOUNT"])
            elif row["TYPE"] == "PAYMENT":
                open_[row["CLAIMID"]] -= Decimal(row["PAYMENTS"])
    return dict(open_)


def facilities_in(folder: Path) -> list[UUID]:
    """The ids of the facilities of a folder."""
    with (folder / "organizations.csv").open() as file:
        return [UUID(row["Id"]) for row in csv.DictReader(file)]


async def open_in_billing(platform: Platform, folder: Path) -> dict[str, Decimal]:
    """What billing holds open of each invoice of these facilities: its balance, less what was paid on it beyond that."""
    async with databases_of(platform, services()) as databases:
        (billing,) = (database for service, database in databases.items() if service.name == "billing")
        async with billing.transaction() as session:
            rows = await session.execute(
                text(
                    """
                    SELECT external_reference, total_amount - allocated_amount - adjusted_amount
                           - coalesce((SELECT sum(amount) FROM credits WHERE credits.invoice_id = invoices.invoice_id), 0)
                           AS open
                    FROM invoices WHERE external_reference IS NOT NULL AND facility_id = ANY(:facilities)
                    """
                ),
                {"facilities": facilities_in(folder)},
            )
            return {row.external_reference: row.open for row in rows}


async def test_the_money_comes_out_as_in_the_files(loaded: Loaded, platform: Platform) -> None:
    """After a load each claim is open by its charges minus its payments."""
    assert await open_in_billing(platform, loaded.folder) == open_per_claim(loaded.folder)
    assert loaded.report.taken["patients.csv"] == loaded.rows["patients"]
    assert loaded.report.taken["observations.csv"] == loaded.rows["observations"]
    transfers = [one for one in loaded.report.not_taken if "transfer" in one.reason]
    assert len(transfers) == len(loaded.report.not_taken)


async def test_a_second_load_takes_nothing(loaded: Loaded, at_work: Platform) -> None:
    """Every row was there before, and the money is as it was."""
    again = await load(loaded.folder, at_work, run_services=False, quiet=True)
    assert not again.taken
    assert again.taken_before == loaded.report.taken
    assert await open_in_billing(at_work, loaded.folder) == open_per_claim(loaded.folder)


async def test_two_facilities_call_their_claims_the_same(at_work: Platform, tmp_path: Path) -> None:
    """The claims of the second are taken all the same, and what is paid on them is paid there."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    Generator(patients=2, seed=6).write(here)
    with (here / "claims.csv").open() as file:
        same = {row["Id"] for row in csv.DictReader(file)}
    others: dict[str, str] = {}
    for path in here.iterdir():
        copied = UUID_TEXT.sub(
            lambda found: found[0] if found[0] in same else others.setdefault(found[0], str(uuid4())), path.read_text()
        )
        (there / path.name).write_text(copied)
    first = await load(here, at_work, run_services=False, quiet=True)
    second = await load(there, at_work, run_services=False, quiet=True)
    assert (second.taken, second.taken_before) == (first.taken, {})
    for folder in (here, there):
        assert await open_in_billing(at_work, folder) == open_per_claim(folder)


async def test_a_bad_row_is_named_and_the_others_are_taken(at_work: Platform, tmp_path: Path) -> None:
    """The report has the line and the column of every row that could not be taken, and never its value."""
    Generator(patients=2, seed=4).write(tmp_path)
    patients = (tmp_path / "patients.csv").read_text().splitlines()
    broken = patients[1].split(",")
    broken[1] = "the day before"
    (tmp_path / "patients.csv").write_text("\n".join([patients[0], ",".join(broken), *patients[2:]]) + "\n")
    report = await load(tmp_path, at_work, run_services=False, quiet=True)
    assert NotTaken("patients.csv", 2, "BIRTHDATE is not a date") in report.not_taken
    assert report.taken["patients.csv"] == 1
    told = " ".join(one.reason for one in report.not_taken)
    assert not [value for value in broken if len(value) > 2 and value in told and value != broken[0]]


@pytest.mark.parametrize(
    ("break_", "says"),
    [
        (lambda folder: (folder / "claims.csv").unlink(), "claims.csv is not there"),
        (lambda folder: (folder / "claims.csv").write_text("a,b\n1,2\n"), "claims.csv lacks the column Id"),
    ],
)
async def test_a_folder_that_is_not_synthea_s_is_refused(platform: Platform, tmp_path: Path, break_: object, says: str) -> None:
    """A missing file or column stops the load before it begins, with one line that says which."""
    Generator(patients=1, seed=5).write(tmp_path)
    assert callable(break_)
    break_(tmp_path)
    with pytest.raises(FolderUnusable, match=says):
        await load(tmp_path, platform, run_services=False, quiet=True)


@pytest.mark.timeout(400)
@pytest.mark.skipif(not _data().exists(), reason="the Synthea data is not here; NILECARE_TEST_DATA says where")
async def test_real_claims_balance_as_their_authors_meant(at_work: Platform) -> None:
    """Of Synthea's 1,267 claims 1,077 balance to zero and 190 do not, each by what its own transactions say."""
    report = await load(_data(), at_work, run_services=False, quiet=True)
    found = await open_in_billing(at_work, _data())
    assert found == open_per_claim(_data())
    assert (len(found), sum(open_ == 0 for open_ in found.values())) == (1267, 1077)
    assert report.taken["observations.csv"] == 251
