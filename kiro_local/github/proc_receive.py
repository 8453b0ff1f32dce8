"""git's ``proc-receive`` hook as a separate program: refuses pushes with the reason that github.com gives.

git's other hooks can only decline, with git's own reason. ``push-refusals.json`` in the repository maps references to
``{"reason", "lines", "times"}``; a refusal without ``times`` lasts.

https://git-scm.com/docs/githooks#proc-receive
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE: Final = "push-refusals.json"


def main() -> None:
    """Answer one push."""
    file = Path(os.environ.get("GIT_DIR", "."), FILE)
    refusals: dict[str, dict[str, Any]] = json.loads(file.read_text())
    for _ in _packets():
        pass  # the version and the features
    _send(b"version=1\0")
    _send(None)
    for command in list(_packets()):
        reference = command.decode(errors="surrogateescape").split(" ", 2)[2].strip()
        refusal = refusals.get(reference)
        if refusal is None or refusal.get("times") == 0:
            _send(f"ok {reference}".encode(errors="surrogateescape"))
            _send(b"option fall-through")
            continue
        if "times" in refusal:
            refusal["times"] -= 1
        print(*refusal["lines"], sep="\n", end="\n" if refusal["lines"] else "", file=sys.stderr, flush=True)
        _send(f"ng {reference} {refusal['reason']}".encode(errors="surrogateescape"))
    _send(None)
    file.write_text(json.dumps(refusals))


def _packets() -> Iterator[bytes]:
    """The pkt-lines up to the next flush."""
    while length := int(sys.stdin.buffer.read(4) or b"0", 16):
        yield sys.stdin.buffer.read(length - 4)


def _send(content: bytes | None) -> None:
    """Send one pkt-line; ``None`` sends a flush."""
    sys.stdout.buffer.write(b"0000" if content is None else b"%04x%b" % (len(content) + 4, content))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
