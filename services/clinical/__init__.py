"""Who the patients are, when they are here, and what their record shows."""
