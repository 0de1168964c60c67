"""docker-compose.yml is the map of the platform as it is deployed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from broker import Service
from nilecare.platform import services
from nilecare.stack.development import Development

FILE = Path(__file__).parents[2] / "docker-compose.yml"
OUTSIDE = "NILECARE_OUTSIDE_"
ADMINISTRATORS = {"NILECARE_POSTGRES_URL", "NILECARE_SECRET"}
OBSERVER = "http://nilecare_observer:${OBSERVER_PASSWORD}@rabbitmq:15672"
"""RabbitMQ's management API, with the account that sees bindings, for the journal."""

every_service = pytest.mark.parametrize("service", services(), ids=lambda service: service.name)


@pytest.fixture(scope="module")
def deployed() -> dict[str, Any]:
    """The containers, by name."""
    containers: dict[str, Any] = yaml.safe_load(FILE.read_text())["services"]
    return containers


@pytest.fixture
def development(tmp_path: Path) -> Development:
    """What `make up` decides."""
    development = Development(services(), tmp_path / ".env")
    development.choose_ports()
    development.use(development.local_servers)
    development.save()
    return development


@every_service
def test_every_service_is_deployed_on_its_port(service: Service, deployed: dict[str, Any]) -> None:
    """Each service has a container of its name, which runs it, publishes its port and asks it whether it is ready."""
    container = deployed[service.name]
    assert container["command"] == ["run", service.name]
    assert container["ports"] == [f"127.0.0.1:${{NILECARE_{service.name.upper()}_PORT}}:{service.port}"]
    assert container["healthcheck"]["test"] == ["CMD", "python", "-m", "nilecare.ready", str(service.port)]


@every_service
def test_a_service_gets_its_own_accounts_and_nothing_else(service: Service, deployed: dict[str, Any]) -> None:
    """A service's container knows its own account on both servers, the one that only looks, and no administrator's."""
    environment = deployed[service.name]["environment"]
    account = f"nilecare_{service.name}:${{{service.name.upper()}_PASSWORD}}"
    assert environment["NILECARE_DATABASE_URL"] == f"postgresql://{account}@postgres:5432/{service.database}"
    assert environment["NILECARE_AMQP_URL"] == f"amqp://{account}@rabbitmq:5672/"
    assert (environment["NILECARE_MANAGEMENT_URL"], environment["NILECARE_JOURNAL"]) == (OBSERVER, "${NILECARE_JOURNAL:-}")
    assert not ADMINISTRATORS & environment.keys()
    assert "SERVERS_PASSWORD" not in str(environment)


@every_service
def test_a_service_can_change_nothing_in_its_container(service: Service, deployed: dict[str, Any]) -> None:
    """A service's container has a read-only root, no capability, and starts only after provisioning."""
    container = deployed[service.name]
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert container["depends_on"] == {"provision": {"condition": "service_completed_successfully"}}


def test_nothing_is_open_to_other_machines(deployed: dict[str, Any]) -> None:
    """Every published port is bound to this machine alone."""
    published = [port for container in deployed.values() for port in container.get("ports", [])]
    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_every_container_that_stays_says_whether_it_is_well(deployed: dict[str, Any]) -> None:
    """Each container but the one that sets up and ends has a health check."""
    assert {name for name, container in deployed.items() if "healthcheck" not in container} == {"provision"}


def test_every_service_knows_the_world_outside(deployed: dict[str, Any], development: Development) -> None:
    """What `make up` tells the services of the world outside without Docker, they are told in their containers too."""
    told = {name for service in services() for name in deployed[service.name]["environment"] if name.startswith(OUTSIDE)}
    assert told == {name for name in development.values if name.startswith(OUTSIDE)}


def test_compose_knows_all_that_the_file_asks_for(development: Development) -> None:
    """Each variable in it is written down by `make up`."""
    assert set(re.findall(r"\$\{(\w+)", FILE.read_text())) - development.values.keys() == set()
