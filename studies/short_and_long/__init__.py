"""Spread over seeds after 1, 3, 10 and 30 epochs: on the test images, and beyond them."""
