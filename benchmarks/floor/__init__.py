"""The floor: what the servers give to programs without any layer, to be measured against."""
