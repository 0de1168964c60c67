"""How a test of a flow fails."""

from __future__ import annotations


class FlowFailed(AssertionError):
    """A flow is not what the test says of it. The message says what is wrong, and then all that the flow did."""
