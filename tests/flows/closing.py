"""What is true at the end, whatever was done: nothing lost, nothing twice, in order, in step, well formed and discreet."""

from __future__ import annotations

from uuid import UUID

from broker._flows import Flows
from nilecare.demo.agreement import agreements
from nilecare.demo.duplicates import duplicated
from tests.flows.running import Running
from tests.flows.spoken import attributes, faults

JOURNAL = "SELECT id, type, key, sequence, flow, cause FROM backbone.published"
FAILED = "SELECT state, subscription, error FROM backbone.failed_message"
REASONS = "SELECT reason || properties::text AS said FROM backbone.failed_message"


async def check_the_end(running: Running) -> None:
    """Fails unless all of it is true once every flow is over."""
    await running.settled()
    flows = running.deployment.flows
    assert await flows.lost() == []
    assert await flows.order_violations() == []
    await check_effects(running, flows)
    await check_messages(running)
    await check_discretion(running)


async def check_effects(running: Running, flows: Flows) -> None:
    """Every event took effect, once, and every replica says row by row what its owner says."""
    for name in running.deployment.databases:
        assert await running.rows(name, FAILED) == []
    assert await duplicated(flows.databases) == 0
    deployment = running.deployment
    found = await agreements({service: deployment.databases[name] for name, service in deployment.services.items()})
    assert found
    assert {name: agreement for name, agreement in found.items() if not agreement.in_step} == {}


async def check_messages(running: Running) -> None:
    """Every event in the journals went out as a valid CloudEvent that says the same as its row."""
    journal = {row.id: row for name in running.deployment.databases for row in await running.rows(name, JOURNAL)}
    messages = await running.overheard.everything()
    assert journal.keys() <= messages.keys()
    wrong = {(row.type, fault) for id_, row in journal.items() for fault in faults(messages[id_])}
    assert not wrong, wrong
    for id_, row in journal.items():
        said = attributes(messages[id_])
        assert (said["type"], said["subject"], int(said["sequence"])) == (row.type, row.key, row.sequence)
        assert UUID(said["correlationid"]) == row.flow
        assert said.get("causationid") == (str(row.cause) if row.cause else None)


async def check_discretion(running: Running) -> None:
    """Nothing of a person stands where others read: in logs and metrics, on a locked screen, on a mail's outside."""
    outside = running.outside
    public = {
        "the logs": running.written.getvalue(),
        "the metrics": await running.metrics(),
        "the problem documents": "\n".join(running.problems),
        "the headers": "\n".join(str(message.header.properties) for message in running.overheard.messages.values()),
        "the short messages": "\n".join(message.text for message in outside.messages.messages),
        "the mails' outsides": "\n".join(f"{mail.message_id} {mail.sender} {mail.subject}" for mail in outside.mails.mails),
        "the reasons": str([await running.rows(name, REASONS) for name in running.deployment.databases]),
    }
    assert "service.started" in public["the logs"]
    assert "nilecare_outbox_relayed_total" in public["the metrics"]
    seen = [(where, value) for where, told in public.items() for value in running.personal if value in told]
    assert seen == []
