"""The tests of private servers need their programs; a machine that has only a Docker Engine does not collect them."""

from __future__ import annotations

from broker.servers.postgres import find_postgres
from broker.servers.rabbitmq import find_rabbitmq

collect_ignore = [] if find_postgres() and find_rabbitmq() else ["test_binaries.py"]
