"""What the lab can be asked to do.

Each command works in the caller's transaction; what it publishes leaves with its commit. Whatever happens to an order, its
samples and its results happens under the lock of the order's row, and for the patient that its patient stands for now. Times
that are not given are now; ids that are not given are new.
"""

from services.lab.commands.calls import escalate_critical_result, record_critical_call
from services.lab.commands.catalogue import Policy, define_test
from services.lab.commands.controls import record_control
from services.lab.commands.findings import Measured
from services.lab.commands.orders import (
    cancel_order,
    cancel_orders_of_encounter,
    cancel_orders_without_sample,
    draft_order,
    give_orders_back,
    hold_order,
    place_order,
    repoint_orders,
    resume_order,
    send_order,
)
from services.lab.commands.results import cancel_result, correct_result, enter_result, verify_result
from services.lab.commands.samples import (
    accept_sample,
    collect_sample,
    dispose_of_sample,
    receive_sample,
    reject_sample,
    send_sample,
    store_sample,
)

__all__ = [
    "Measured",
    "Policy",
    "accept_sample",
    "cancel_order",
    "cancel_orders_of_encounter",
    "cancel_orders_without_sample",
    "cancel_result",
    "collect_sample",
    "correct_result",
    "define_test",
    "dispose_of_sample",
    "draft_order",
    "enter_result",
    "escalate_critical_result",
    "give_orders_back",
    "hold_order",
    "place_order",
    "receive_sample",
    "record_control",
    "record_critical_call",
    "reject_sample",
    "repoint_orders",
    "resume_order",
    "send_order",
    "send_sample",
    "store_sample",
    "verify_result",
]
