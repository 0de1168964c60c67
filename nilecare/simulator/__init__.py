"""A card provider that is none: a server of its own that authorises, captures, declines, and misbehaves on request.

A payment's token says how it goes:

| token | what happens |
|---|---|
| tok_visa | authorised, and captured when asked |
| tok_declined | refused: card_declined |
| tok_insufficient_funds | refused: insufficient_funds |
| tok_capture_declined | authorised, but the capture is refused: expired_card |
| tok_slow | done at once, answered late |
| tok_lost_answer | done, and the connection dropped without an answer; its webhooks come |
| tok_lost_answer_and_webhook | the same, and no webhook comes: only asking helps |
| tok_duplicate_webhook | every webhook comes twice |
| tok_webhook_first | each webhook comes, and is answered, before the answer to the call |
| tok_webhook_reversed | the webhook of the authorisation comes after that of the capture |
"""

from nilecare.simulator.command import command
from nilecare.simulator.server import CardSimulator

__all__ = ["CardSimulator", "command"]
