"""The houses, their departments, wards and beds, and who lies where."""
