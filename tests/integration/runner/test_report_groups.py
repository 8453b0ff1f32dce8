"""The gate's reports, from the project's tests to the result, the artifacts and CodeBuild's report groups."""

from __future__ import annotations

import json

from tests.support.worker import Worker

LCOV = "SF:shop/orders.py\nDA:1,1\nDA:2,0\nend_of_record\n"
JUNIT = '<testsuite name="s"><testcase classname="c" name="one"/></testsuite>'


def command_that_writes(*files: tuple[str, str]) -> list[str]:
    return ["sh", "-c", "; ".join(f"printf '%s' '{text}' > {name}" for name, text in files)]


def test_reports_reach_report_groups(worker: Worker) -> None:
    command = command_that_writes(("junit.xml", JUNIT), ("lcov.info", LCOV))
    worker.configure(test=command, coverage={"threshold": 50})

    done = worker.run()

    assert done.exit_code == 0, done.log
    assert done.result["schemaVersion"] == 3
    assert done.result["gate"]["checks"][0]["junit"]["tests"] == 1
    assert done.result["gate"]["checks"][0]["coverage"]["lines"] == {"covered": 1, "total": 2}
    assert done.exports["COVERAGE"] == "lines 50% (1/2)"
    assert "agent:" in done.exports["PHASES"]
    assert json.loads(worker.artifact("reports/gate.json")) == done.result["gate"]["checks"][0]
    assert "testcase" in worker.artifact("reports/tests/001-junit.xml")
    assert (done.folder / "reports" / "tests" / "001-junit.xml").is_file()
    assert "shop/orders.py" in (done.folder / "reports" / "coverage" / "cobertura.xml").read_text()


def test_low_coverage_keeps_its_report(worker: Worker) -> None:
    before = worker.head()
    worker.configure(test=command_that_writes(("lcov.info", LCOV)), coverage={"threshold": 80})

    done = worker.run()

    assert (done.exit_code, done.exports["OUTCOME"]) == (1, "CoverageBelowThreshold")
    assert "lines 50% (1/2), and coverage.threshold is 80%" in done.exports["OUTCOME_REASON"]
    assert done.exports["COVERAGE"] == "lines 50% (1/2)"
    assert "SF:shop/orders.py" in worker.artifact("reports/coverage/001-lcov.info")
    assert worker.head() == before
