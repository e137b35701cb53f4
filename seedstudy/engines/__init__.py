"""Where trials run. The trial folder is the only source of truth; an engine starts commands and waits."""
