"""The world outside, simulated: a card provider, a mail server and a message gateway, which misbehave on request.

`mails` and `messages` say which addresses are refused. A payment's token says how the card provider deals with it:

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
| tok_refund_declined | captured; a refund is refused: card_account_closed |
| tok_refund_pending | captured; a refund is pending, and succeeds by a webhook |
| tok_dispute | captured, then disputed; the evidence `winning_evidence` wins, `losing_evidence` loses |
| tok_dispute_reversed | captured, disputed and lost; the webhook that it was opened comes last |
"""

from nilecare.simulator.command import command
from nilecare.simulator.mails import Mail, MailSink
from nilecare.simulator.messages import Message, MessageGateway
from nilecare.simulator.server import CardSimulator

__all__ = ["CardSimulator", "Mail", "MailSink", "Message", "MessageGateway", "command"]
