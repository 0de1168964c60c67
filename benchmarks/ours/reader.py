"""What the subscriber says: nothing."""
