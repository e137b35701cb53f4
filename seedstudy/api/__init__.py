"""What `import seedstudy as ss` offers, and the one thing that every command calls: a function per question.

Each function returns one typed answer, whose ``to_dict()`` is the document of the command's ``--json``. What is heavy
(Polars, SciPy, torch) is imported where it is used, so that no question pays for the needs of another.
"""
