"""Trainings of other libraries report themselves: Lightning, transformers, accelerate. Each is an extra."""
