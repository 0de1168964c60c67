"""Who may sign in, what they may do and where, and whose word no longer counts."""
