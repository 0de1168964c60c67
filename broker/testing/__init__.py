"""Tests of what services tell each other: a pytest plug-in that knows when a flow is over.

`flow`, a fixture, begins flows and says what follows from them; docs/testing-flows.md shows how.
"""

from broker.testing.deployment import Deployment, deployed
from broker.testing.errors import FlowFailed
from broker.testing.examples import example_of
from broker.testing.flow import Flow
from broker.testing.outside import Answering, World
from broker.testing.published import Published
from broker.testing.started import Started

__all__ = ["Answering", "Deployment", "Flow", "FlowFailed", "Published", "Started", "World", "deployed", "example_of"]
