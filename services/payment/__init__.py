"""How money comes in: by card through a provider, or recorded by a person."""
