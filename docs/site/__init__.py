"""How the documentation site is made."""
