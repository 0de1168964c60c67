"""How money comes in and goes back: through providers, and at the desk."""
