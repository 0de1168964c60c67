"""Where people see what failed anywhere on the platform, and ask the service that it failed in to do something about it."""
