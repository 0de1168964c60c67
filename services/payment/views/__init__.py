"""What payment's API takes and gives."""
