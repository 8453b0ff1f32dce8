"""The worker's own git. The commands that use it are tested with the modules that run them."""

from __future__ import annotations

import os
import subprocess
import tempfile

import pytest

from kiro_worker.runner.repository.credential_offer import credential_command


@pytest.mark.parametrize("descriptors", ["/proc/self/fd", "/nowhere"])
def test_credentials_are_readable_repeatedly(descriptors: str) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"username=git\npassword=p4ss\n")
        file.flush()
        command = credential_command(file.fileno(), descriptors)

        answers = [
            subprocess.run(command, env={"PATH": os.environ["PATH"]}, pass_fds=(file.fileno(),), capture_output=True)
            for _ in range(2)
        ]

    assert [answer.stdout for answer in answers] == [b"username=git\npassword=p4ss\n"] * 2
