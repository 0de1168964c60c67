"""The platform of a checkout, up until it is told to go down: with Docker Compose, or without Docker from this machine."""
