"""The trusted git itself; what is done with it is tested where it is done."""

from __future__ import annotations

import os
import subprocess
import tempfile

import pytest

from kiro_worker.runner.repository.git import credential_command


@pytest.mark.parametrize("files", ["/proc/self/fd", "/nowhere"])
def test_a_helper_answers_every_question_with_the_whole_of_a_file_without_a_name(files: str) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"username=git\npassword=p4ss\n")
        file.flush()
        command = credential_command(file.fileno(), files)

        answers = [
            subprocess.run(command, env={"PATH": os.environ["PATH"]}, pass_fds=(file.fileno(),), capture_output=True)
            for _ in range(2)
        ]

    assert [answer.stdout for answer in answers] == [b"username=git\npassword=p4ss\n"] * 2
