"""Download one source distribution with pip's own settings, without building it.

Its arguments are the name, the version, the SHA-256 hash and the folder. ``pip download`` would run the distribution's
build backend to read its metadata. pip's finder and session read the same configuration: index, mirror, certificates,
proxy and credentials. Without arguments the program only finds out whether the index answers. It exits with 3 if it
does not, and with 4 if it has no file with this hash.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from pip._internal.commands import create_command
from pip._internal.commands.download import DownloadCommand
from pip._vendor.requests.exceptions import RequestException

UNREACHABLE = 3
MISSING = 4


def main(arguments: list[str]) -> int:
    command = create_command("download")
    assert isinstance(command, DownloadCommand)
    options, _ = command.parse_args(["--no-binary", ":all:", "--quiet", "--retries", "1"])
    with command.main_context():
        session = command.get_default_session(options)
        finder = command._build_package_finder(options, session)
        if not arguments:
            return 0 if finder.find_all_candidates("pip") else UNREACHABLE
        name, version, sha256, folder = arguments
        candidates = finder.find_all_candidates(name)
        links = [each.link for each in candidates if str(each.version) == version and not each.link.is_wheel]
        if not links:
            return MISSING if finder.find_all_candidates("pip") else UNREACHABLE
        for link in links:
            try:
                content = Path(link.file_path).read_bytes() if link.is_file else session.get(link.url).content
            except (OSError, RequestException):
                return UNREACHABLE
            if hashlib.sha256(content).hexdigest() == sha256:
                (Path(folder) / link.filename).write_bytes(content)
                return 0
    print(f"The index has no file of {name} {version} with the hash sha256:{sha256}.", file=sys.stderr)
    return MISSING


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
