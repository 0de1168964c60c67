"""The benchmarks watch from outside, do the sums right, and the README says what they found."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks import dead_letters, filling, suite
from benchmarks.__main__ import with_part
from benchmarks.backlog import Case
from benchmarks.contenders import BACKBONE, C_CLIENT, USUAL
from benchmarks.contending import Workload
from benchmarks.cost import Cpu
from benchmarks.measure import PROGRESS, ContenderFailed, Sample, measure
from benchmarks.paced import Paced
from benchmarks.report import README, readme_part, show
from benchmarks.suite import QUICK, Results, as_json, best_peer, machine, memory_mib, ratios, run_part
from broker.servers import Servers

LATEST = Path(__file__).parents[2] / "benchmarks" / "results" / "latest.json"
NOTHING = Cpu(0, 0, 0)


def sample(rate: float, cost: float = 0.0, memory: float = 100.0) -> Sample:
    return Sample(rate=rate, cpu_per_1000=Cpu(cost, 5.0, cost), memory_mib=memory)


def paced(p50: float, p99: float) -> Paced:
    return Paced(rate=1, p50=p50, p95=p50, p99=p99, cpu_per_1000=NOTHING)


@pytest.fixture
def results() -> Results:
    made = Results(QUICK, machine={})
    for workload, ours, usual in (("relay", 120, 10), ("insert", 80, 10), ("update", 30, 10), ("replica", 150, 10)):
        made.throughput[workload] |= {BACKBONE.label: [sample(ours)], USUAL.label: [sample(usual)]}  # type: ignore[index]
    made.throughput["relay"][C_CLIENT.label] = [sample(240)]
    made.paced["the backbone"]["25 %"] = [paced(3, 9)]
    made.paced["by hand"]["25 %"] = [paced(2, 6)]
    for held, growth in (("nothing", 1.0), ("a reader", 1.05), ("a writer", 1.5)):
        made.backlog[Case("relay", 10_000, held)] = sample(1, cost=0.01)  # type: ignore[arg-type]
        made.backlog[Case("relay", 100_000, held)] = sample(1, cost=0.01 * growth)  # type: ignore[arg-type]
    made.idle_mib = 60
    return made


def test_ratios_say_how_many_times_as_fast(results: Results) -> None:
    """Rates are ours by theirs, latencies too, and growth is the worst case's, without RabbitMQ's own share."""
    assert {name: values[0] for name, values in ratios(results).items()} == pytest.approx(
        {
            "relay_vs_usual": 12,
            "relay_vs_c_client": 0.5,
            "relay_vs_best_peer": 12,
            "consume_insert_vs_usual": 8,
            "consume_update_vs_usual": 3,
            "replica_vs_usual": 15,
            "p50_vs_bare": 1.5,
            "p99_vs_bare": 1.5,
            "backlog_cost_growth": 1.5,
        }
    )
    assert memory_mib(results)["above_idle"] == 40


def test_the_best_peer_is_one_that_loses_nothing(results: Results) -> None:
    """The C client is faster than any peer, and no peer: it has no outbox to lose nothing with."""
    assert best_peer(results) == USUAL.label


@pytest.mark.parametrize("workload", ["relay", "replica"])
async def test_the_backbone_is_watched_to_its_end(servers: Servers, workload: Workload) -> None:
    """Each workload comes to exactly as many effects as there were events."""
    found = await measure(BACKBONE, workload, 4000 if workload == "relay" else 1000, servers)
    assert found.rate > 0
    assert found.memory_mib > 0


async def test_an_effect_too_many_is_no_figure(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A contender that does more than it was given is refused."""
    monkeypatch.setitem(PROGRESS, "insert", "SELECT count(*) * 2 FROM entry")
    with pytest.raises(ContenderFailed, match="effects of"):
        await measure(BACKBONE, "insert", 300, servers)


async def test_dead_letters_are_replayed_by_the_service(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look finds what is there, and a replay of all comes to as many effects."""
    monkeypatch.setattr(dead_letters, "FEW", 200)
    found = await dead_letters.measure_dead_letters(600, servers)
    assert min(*found.looks.values(), (found.replay.rate, found.published_again.rate)) > (0, 0)
    assert {"the first page", "the groups"} < found.looks.keys()


def shown(found: dict[str, Any]) -> str:
    """All tables of a run."""
    written = io.StringIO()
    show(found, Console(file=written, width=200))
    return written.getvalue()


def test_dead_letters_are_among_the_tables(results: Results) -> None:
    """How many times as long each look takes with many, and how fast a replay is; a run that had none is shown without."""
    found = json.loads(LATEST.read_text())
    found.pop("dead_letters", None)
    assert "dead letters" not in shown(found)
    looks = {"the groups": (2.0, 3.0)}
    results.dead_letters = dead_letters.DeadLetters(20_000, looks, replay=sample(50), published_again=sample(100))
    text = shown(found | {"dead_letters": as_json(results)["dead_letters"]})
    assert re.search(r"the groups +│ +2.0 │ +3.0 │ +1.5×", text)
    assert "20,000 dead letters: a replay of all is 0.50× as fast as the queue" in text


FILLING = filling.Filling(count=500, seconds=4.0, copied_in=1.0, writes=60, kills=3)


async def test_a_replica_is_filled_by_processes_that_are_killed(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Owner and replica are equal at the end, whoever was killed."""
    monkeypatch.setattr(filling, "KILLS", ((0.1, (filling.KEEPER, filling.OWNER)),))
    found = await filling.measure_filling(20_000, servers)
    assert (found.count, found.kills) == (20_000, 2)
    assert min(found.seconds, found.copied_in, found.writes) > 0


def test_a_fill_is_among_the_tables_and_in_the_readme(results: Results) -> None:
    """Its speed against the copy's, which is a target; a run that had none is shown without."""
    found = json.loads(LATEST.read_text())
    found.pop("filling", None)
    assert "replica filled" not in shown(found)
    assert "replica filled" not in readme_part(found)
    results.filling = FILLING
    found |= {"filling": as_json(results)["filling"]}
    text = shown(found)
    assert "a replica filled: 60 writes by others meanwhile, 3 processes killed" in text
    assert re.search(r"by events +│ +500 │ +4.0 │ +125 │ +0.25×", text)
    assert re.search(r"│ +0.25× │ +│ at least 0.2× +│ yes", text)
    assert "filled with 500 rows by events, against `COPY` | 0.25× | at least 0.2× |" in readme_part(found)
    assert "of its own" not in readme_part(found)


async def test_a_part_that_is_measured_again_says_when_and_on_what(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It replaces what the file has of that part, and nothing else; the README says that it is of another run."""

    async def measured(count: int, on: Servers) -> filling.Filling:
        assert on is servers
        return replace(FILLING, count=count)

    monkeypatch.setattr(suite, "measure_filling", measured)
    part = await run_part("filling", QUICK, servers)
    assert (part["count"], part["machine"]) == (QUICK.filled, await machine(servers))
    results = tmp_path / "latest.json"
    before = json.loads(LATEST.read_text()) | {"filling": {"count": 1}}
    results.write_text(json.dumps(before))
    together = with_part(results, "filling", part | {"began": "2027-01-02T03:04:05+00:00"})
    assert json.loads(results.read_text()) == together
    assert {name for name in together if together[name] != before[name]} == {"filling"}
    assert "in a run of its own on 2027-01-02:" in readme_part(together)


def test_the_readme_has_the_figures_of_the_last_run() -> None:
    """They were put there by the run."""
    assert readme_part(json.loads(LATEST.read_text())) in README.read_text()
