from __future__ import annotations

import textwrap

import yaml

from kiro_local.github import seed_document
from kiro_local.github.seed_document import Seed


def test_documented_example_is_valid() -> None:
    description = seed_document.__doc__ or ""
    example = textwrap.dedent(description.partition("::\n\n")[2].rpartition("\n\n")[0])
    seed = Seed.model_validate(yaml.safe_load(example))
    assert [repository.name for repository in seed.repositories] == ["acme/shop", "mallory/shop"]
    assert seed.repositories[0].files == {"README.md": "# Shop\n"}
    assert [card.status for card in seed.projects[0].cards] == [
        "For Implementation",
        "Todo",
        "Todo",
        "For Implementation",
    ]
