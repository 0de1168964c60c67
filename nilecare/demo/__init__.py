"""`nilecare demo`: the whole platform at work on made-up patients, while a broker and a service are killed under it."""

from nilecare.demo.command import command

__all__ = ["command"]
