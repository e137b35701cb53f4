"""Is recipe B really better than recipe A, or did it get a lucky seed?"""

__version__ = "0.1.0"
