"""What a reader must know before believing a number: in full, and in one line."""

from __future__ import annotations


class Caution(str):
    """A sentence in full, which also has a short form and the topic of ``seedstudy explain`` that says more."""

    short: str
    """At most 70 characters."""
    topic: str

    def __new__(cls, text: str, *, short: str, topic: str) -> Caution:
        """Return the sentence; it is a plain text wherever texts are expected."""
        made = super().__new__(cls, text)
        made.short, made.topic = short, topic
        return made

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, str]]:
        """Return what copies and pickles are made from."""
        return (str(self),), {"short": self.short, "topic": self.topic}
