"""The git credential helper: answers git's question from a file descriptor that only this one git command inherits.

Run by git as ``python -I -S credential_helper.py <descriptor> get``. It imports nothing of ours and almost nothing of
Python's, for git waits for it. The secret is in no environment, argument, URL or file with a name.
"""

from __future__ import annotations

import os
import sys


def main(arguments: list[str]) -> int:
    """``get`` prints what the descriptor holds, ``username=…\\npassword=…\\n``; ``store`` and ``erase`` do nothing."""
    descriptor, action = arguments
    if action == "get":
        # Read at a fixed position: git may ask again, and the position is shared with whoever asked before.
        sys.stdout.write(os.pread(int(descriptor), 1 << 16, 0).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
