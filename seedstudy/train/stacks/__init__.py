"""Several seeds trained as one network."""
