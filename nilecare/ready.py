"""`python -m nilecare.ready PORT`: the health check of a service's container. Ends with 0 when commands can be taken."""

from __future__ import annotations

import sys
from urllib.request import urlopen


def is_ready(port: int) -> bool:
    """Whether the service on this port of this machine says that it is ready, within four seconds."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=4) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(not is_ready(int(sys.argv[1])))
