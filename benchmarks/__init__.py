"""What is measured, against whom: `make bench`, or `make bench QUICK=1` in about a minute."""
