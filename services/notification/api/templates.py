"""Templates over HTTP."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from broker import Idempotent, Page, PageRequest, Reading, Router, Transaction
from services.notification import commands, tables, views
from services.notification.api.access import Editor, Manager

router = Router()


@router.post("/templates", status_code=201)
async def register_template(
    asked: views.NewTemplateVersion, who: Editor, session: Transaction, key: Idempotent
) -> views.TemplateVersion:
    """Registers a version of a template, which is used from now on, at every facility."""
    template, version = await commands.register_template(session, **dict(asked), registered_by=who.subject)
    return _shown(version, template)


@router.get("/templates")
async def list_templates(who: Manager, session: Reading, page: PageRequest) -> Page[views.TemplateVersion]:
    """Every version ever registered, those of a template together."""
    version, template = tables.TemplateVersion, tables.Template
    templates = {each.template_id: each for each in await session.scalars(select(template))}

    def view(row: Any) -> views.TemplateVersion:
        return _shown(row, templates[row.template_id])

    return await page.read(session, select(version), by=[version.template_id, version.version], view=view)


def _shown(version: tables.TemplateVersion, template: tables.Template) -> views.TemplateVersion:
    return views.TemplateVersion(
        template_id=template.template_id,
        topic=template.topic,
        channel=template.channel,
        locale=template.locale,
        version=version.version,
        subject=version.subject,
        body=version.body,
        registered_at=version.registered_at,
    )
