"""`python -m seedstudy`."""

from seedstudy.cli import main

main()
