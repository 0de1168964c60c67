"""Synthea's CSV files: written by a seeded generator of ours, and read into the services through their own commands.

Source of the format: Synthea wiki, "CSV File Data Dictionary".
"""
