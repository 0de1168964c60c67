"""What the services of the platform say to each other: one module per publishing service, pydantic only."""
