"""How a network is trained: recipes as data."""
