"""What the lab can measure, what was ordered, the samples, and what they showed."""
