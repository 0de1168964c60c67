"""Notification: who is told what, how and when, and what became of it."""
