"""One tick works off the queue: how many builds run at a time, and that no card is implemented twice, however many
executions start at once.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from bench.queue_run import most_at_once
from kiro_local.assembly import synthesize
from kiro_local.aws.deploy import deploy
from kiro_local.aws.schedule import tick
from kiro_local.github.model import Item
from kiro_worker.executions.history import Run
from tests.support.settings import parameter
from tests.support.world import TOKEN, World

pytestmark = pytest.mark.e2e

PATIENCE = 300
# A minimal agent: it writes a file and ticks the box. It first waits until `meet` agents run at the same time, for at
# most a minute.
AGENT = """
started={started}
cat > /dev/null
echo $$ >> "$started"
tries=0
until [ "$(wc -l < "$started")" -ge {meet} ]; do
    tries=$((tries + 1)); [ $tries -gt 600 ] && exit 9
    sleep 0.1
done
echo done > made.txt
sed -i 's/\\[ \\]/[x]/' .kiro/specs/*/tasks.md
"""
QUIET = {"NothingToDo", "CardsPassedOver", "WorkInProgressElsewhere", "WorkItemMoved"}


class CardQueue:
    """Ready cards, and the builds that started since the cards were created."""

    def __init__(self, world: World, cards: int, *, meet: int = 0, **configuration: Any) -> None:
        world.patience = PATIENCE
        self.world = world
        self.branches = [f"feature/{number}" for number in range(cards)]
        self.cards: list[Item] = [world.card(branch) for branch in self.branches]
        # A file of the test, to which every agent can append. The worker removes files that belong to the agents.
        started = world.folder / "started"
        started.touch()
        started.chmod(0o666)
        script = world.folder / "agent.sh"
        script.write_text(AGENT.format(started=started, meet=meet))
        world.configure(agent={"command": ["sh", str(script)]}, test="true", **configuration)
        self._earlier_builds = set(world.builds())

    def work_off(self, executions: int = 1) -> list[Run]:
        """Tick ``executions`` times at once, and return all runs once those and the runs that they started ended."""
        with ThreadPoolExecutor(executions) as starters:
            list(starters.map(lambda _: self.world.local.tick(), range(executions)))
        self.world.wait_until_idle()
        return self.world.runs()

    def intervals(self, project: str = "kiro-worker-test") -> list[tuple[datetime, datetime]]:
        """The start and end of each build, in order."""
        client = self.world.local.client("codebuild")
        ids = [
            each
            for each in client.list_builds_for_project(projectName=project)["ids"]
            if each not in self._earlier_builds
        ]
        builds = client.batch_get_builds(ids=ids)["builds"]
        return sorted((build["startTime"], build["endTime"]) for build in builds)

    def check_each_card_was_implemented_once(self, runs: Sequence[Run]) -> None:
        assert {run.status for run in runs} == {"SUCCEEDED"}
        done = Counter(run.output["item"] for run in runs if run.outcome == "Succeeded")
        assert done == {card.id: 1 for card in self.cards}
        assert {run.outcome for run in runs} <= QUIET | {"Succeeded"}
        assert {card.value("Status") for card in self.cards} == {"In Review"}
        assert len(self.intervals()) == len(self.cards)
        git = self.world.repository.git
        for branch in self.branches:
            trailers = git.run("log", "--format=%(trailers:key=Kiro-Worker-Execution)", f"main..{branch}").decode()
            assert len([line for line in trailers.split("\n") if line.strip()]) == 1, branch
        for pull_request in self.world.repository.pull_requests:
            assert [comment.body.count("✅") for comment in pull_request.comments] == [1]
        assert self.world.local.lock() is None


@pytest.mark.parametrize(
    ("executions", "cards"),
    [(1, 3), (8, 3), pytest.param(64, 20, marks=pytest.mark.exhaustive)],
    ids=["1", "8", "64"],
)
def test_one_lock_allows_one_build(world: World, executions: int, cards: int) -> None:
    queue = CardQueue(world, cards)
    runs = queue.work_off(executions)
    queue.check_each_card_was_implemented_once(runs)
    assert all(end <= start for (_, end), (start, _) in pairwise(queue.intervals()))


@pytest.mark.parametrize(
    ("most", "executions", "cards"),
    [
        (2, 1, 3),
        (2, 6, 3),
        pytest.param(4, 1, 12, marks=pytest.mark.exhaustive),
        pytest.param(4, 64, 12, marks=pytest.mark.exhaustive),
    ],
)
def test_branch_locks_fill_configured_slots(world: World, most: int, executions: int, cards: int) -> None:
    """One tick is enough. The agents wait for each other, so the limit is reached as well as not exceeded."""
    queue = CardQueue(world, cards, meet=most, lockScope="branch", maxConcurrentBuilds=most)
    runs = queue.work_off(executions)
    queue.check_each_card_was_implemented_once(runs)
    assert most_at_once(queue.intervals()) == most


def test_duplicate_tick_implements_card_once(world: World) -> None:
    queue = CardQueue(world, 1)
    runs = queue.work_off(2)
    queue.check_each_card_was_implemented_once(runs)


@pytest.mark.exhaustive
def test_environments_build_independently(world: World) -> None:
    """Each environment has its own lock, so both build at once. Each agent waits for the other."""
    queue = CardQueue(world, 1, meet=2)
    client, board = world.local.client, world.github.board
    deploy(client, synthesize(environment="staging"))
    staging = board.add_project(f"{world.organization}-staging", number=1)
    world.spec("feature/staging")
    board.add_pull_request(world.repository, "feature/staging")
    issue = board.add_issue(world.repository, "Work on staging")
    card = board.add_card(staging, issue, status="For Implementation", branch="feature/staging")
    configure_staging(
        world, {"organization": f"{world.organization}-staging", "repositories": [f"{world.organization}/shop"]}
    )

    arns = [world.local.tick(), tick(client, "kiro-worker-staging")]
    runs = [world.finish_alone(arn) for arn in arns]
    world.wait_until_idle()

    assert [run.outcome for run in runs] == ["Succeeded"] * 2
    assert [run.output["item"] for run in runs] == [queue.cards[0].id, card.id]
    in_test, in_staging = (queue.intervals(f"kiro-worker-{name}") for name in ("test", "staging"))
    assert (len(in_test), len(in_staging), most_at_once(in_test + in_staging)) == (1, 1, 2)
    assert [len(each.comments) for each in world.repository.pull_requests] == [1, 1]
    for environment in ("test", "staging"):
        items = client("dynamodb").scan(TableName=f"kiro-worker-{environment}-locks")["Items"]
        assert [item for item in items if "owner" in item] == []


def configure_staging(world: World, changes: dict[str, Any]) -> None:
    client, name = world.local.client, "kiro-worker-staging"
    client("ssm").put_parameter(
        Name="/kiro-worker/staging/github-project-config",
        Type="String",
        Value=json.dumps(parameter(world.configuration | changes)),
        Overwrite=True,
    )
    git = json.dumps({"username": "git", "password": TOKEN})
    for secret, value in (("github-token", TOKEN), ("git-credentials", git), ("kiro-api-key", "any")):
        client("secretsmanager").put_secret_value(SecretId=f"{name}-{secret}", SecretString=value)
