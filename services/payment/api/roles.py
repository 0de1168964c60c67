"""Who may do what with money."""

from __future__ import annotations

from typing import Annotated

from broker import Principal, allow

Reader = Annotated[Principal, allow("cashier", "billing_clerk", "billing_manager")]
Cashier = Annotated[Principal, allow("cashier", "billing_manager")]
Clerk = Annotated[Principal, allow("billing_clerk", "billing_manager")]
Manager = Annotated[Principal, allow("billing_manager")]
Analyst = Annotated[Principal, allow("billing_clerk", "billing_manager", "facility_manager")]
