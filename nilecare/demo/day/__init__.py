"""A day in a hospital, played through the services' HTTP APIs by people who sign in for it."""
