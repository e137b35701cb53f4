"""Where trials run. A trial's folder is the only source of truth; an engine starts commands and waits."""
