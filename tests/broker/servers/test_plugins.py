"""Which of the plugins that came with RabbitMQ a private one is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.servers.plugins import needed

INSTALLED = {
    "rabbit": "kernel, ra, rabbitmq_prelaunch",
    "rabbitmq_prelaunch": "kernel",
    "rabbitmq_management": "kernel,stdlib,cowboy,\n  rabbit,rabbitmq_web_dispatch",
    "rabbitmq_web_dispatch": "rabbit, rabbitmq_deep",
    "rabbitmq_deep": "",
    "rabbitmq_mqtt": "rabbit, rabbitmq_mqtt_only",
    "rabbitmq_mqtt_only": "",
    "cowboy": "kernel",
    "ra": "kernel",
    "unasked": "kernel",
}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A `rabbitmq-server`, by a link into where it is installed, beside whose folder stand plugins."""
    for name, needs in INSTALLED.items():
        described = tmp_path / "rabbitmq_server-1" / "plugins" / f"{name}-1.2.3" / "ebin" / f"{name}.app"
        described.parent.mkdir(parents=True)
        described.write_text(
            f"{{application, {name}, [\n  {{applications, [{needs}]}},\n  {{env, [{{other, [rabbitmq_mqtt]}}]}}]}}."
        )
    installed = tmp_path / "rabbitmq_server-1" / "sbin" / "rabbitmq-server"
    installed.parent.mkdir()
    installed.touch()
    link = tmp_path / "bin" / "rabbitmq-server"
    link.parent.mkdir()
    link.symlink_to(installed)
    return link


def test_what_management_needs_is_there_and_every_library(program: Path) -> None:
    """RabbitMQ's own plugins that neither the broker nor its management needs are left out, and nothing else."""
    plugins = needed(program)
    assert plugins is not None
    assert {path.name.removesuffix("-1.2.3") for path in plugins} == INSTALLED.keys() - {"rabbitmq_mqtt", "rabbitmq_mqtt_only"}


def test_plugins_that_are_packed_otherwise_are_left_to_the_node(program: Path) -> None:
    """Where a plugin that is needed has no folder of its own, nothing is known."""
    folder = program.resolve().parent.parent / "plugins" / "rabbitmq_management-1.2.3"
    folder.rename(folder.with_name("rabbitmq_management.folder"))
    (folder.with_name("rabbitmq_management-1.2.3.ez")).touch()
    assert needed(program) is None
