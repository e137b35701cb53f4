"""What was compared before: a study remembers each comparison that somebody looked at.

One file per comparison, ``looks/<digest>.json``, which holds all its pairs. The name is the digest of what was
compared, so that the same question about the same numbers is one look, however often it is asked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seedstudy.errors import SeedstudyError
from seedstudy.files import check_folder, read_record, write_record

_FOLDER = "looks"


def earlier_looks(study: Path) -> list[Mapping[str, Any]]:
    """Return every look that a study remembers, the oldest first; what cannot be read was no look."""
    found: list[Mapping[str, Any]] = []
    for path in (study / _FOLDER).glob("*.json"):
        with suppress(SeedstudyError, OSError, KeyError, TypeError):
            record = read_record(path)
            found += [{**look, "at": str(record["at"])} for look in record["looks"]]
    return sorted(found, key=lambda look: look["at"])


def remember_looks(study: Path, looks: Sequence[Mapping[str, Any]]) -> None:
    """Keep the looks of one comparison; nothing happens where they are known, or where the study cannot be written."""
    name = hashlib.sha256(json.dumps(looks, sort_keys=True).encode()).hexdigest()[:16]
    folder = study / _FOLDER
    path = folder / f"{name}.json"
    with suppress(SeedstudyError, OSError):
        if path.exists():
            return
        check_folder(study)
        folder.mkdir(exist_ok=True)
        check_folder(folder)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        write_record(path, {"looks": list(looks), "at": at}, is_first_only=True)
