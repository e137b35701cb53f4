"""Recipes of RSB on several small networks: whether one of them suits every architecture."""
