"""Who may open a record that is not theirs to see, for how long, and who looks at it afterwards.

Source: HIPAA Security Rule, 45 CFR 164.312(a)(2)(ii), emergency access procedure, and 164.312(b), audit controls.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from broker import LifeCycle
from services.clinical.errors import AccessIsGivenAlready, BreakGlassCannotBecome, GlassIsBrokenAlready, NobodyReviewsThemselves

BreakGlassStatus = Literal["unreviewed", "justified", "unjustified"]

BREAK_GLASS = LifeCycle[BreakGlassStatus](
    {"unreviewed": {"justified", "unjustified"}, "justified": set(), "unjustified": set()}, refused=BreakGlassCannotBecome
)

BROKEN_FOR = timedelta(hours=1)
"""How long a record stays open to who broke the glass."""


def check_glass(*, is_own: bool, is_open: bool) -> None:
    """Raises AccessIsGivenAlready or GlassIsBrokenAlready."""
    if is_own:
        raise AccessIsGivenAlready
    if is_open:
        raise GlassIsBrokenAlready


def check_reviewer(opened_by: str, reviewed_by: str) -> None:
    """Raises NobodyReviewsThemselves."""
    if opened_by == reviewed_by:
        raise NobodyReviewsThemselves
