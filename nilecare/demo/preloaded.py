"""What every process of the demo needs, imported once for all of them."""

from __future__ import annotations

import nilecare.run
import nilecare.simulator
from nilecare.loading import loading
from nilecare.platform import services

__all__ = ["nilecare"]

with loading():
    services()
