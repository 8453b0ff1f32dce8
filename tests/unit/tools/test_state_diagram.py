from __future__ import annotations

import json
from pathlib import Path

from tools.state_diagram import diagram

STATES = {
    "Work": {
        "Type": "Task",
        "Next": "Decide",
        "Catch": [{"ErrorEquals": ["Busy", "Gone"], "Next": "End"}, {"ErrorEquals": ["States.ALL"], "Next": "End"}],
    },
    "Decide": {"Type": "Choice", "Choices": [{"Comment": "more to do", "Next": "Work"}], "Default": "End"},
    "End": {"Type": "Succeed"},
}


def test_diagram_shows_every_transition(tmp_path: Path) -> None:
    file = tmp_path / "machine.asl.json"
    file.write_text(json.dumps({"States": STATES}))
    assert diagram(file).splitlines() == [
        "flowchart TD",
        "    Work[Work]",
        "    Decide{Decide}",
        "    End([End])",
        "    Work --> Decide",
        "    Work -.->|Busy, Gone| End",
        "    Work -.->|any other| End",
        "    Decide -->|more to do| Work",
        "    Decide -->|otherwise| End",
    ]
