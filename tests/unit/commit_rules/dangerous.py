"""What GitHub and CI systems obey in a commit's message, as their documentation gives it, and texts full of it."""

from __future__ import annotations

import re
from typing import Final

from hypothesis import strategies as st

# https://docs.github.com/en/issues/tracking-your-work-with-issues/using-issues/linking-a-pull-request-to-an-issue
# and, for the verbs in -ing, https://docs.gitlab.com/user/project/issues/managing_issues/#default-closing-pattern
_VERB: Final = r"(?:clos(?:e[sd]?|ing)|fix(?:e[sd]|ing)?|resolv(?:e[sd]?|ing)|implement(?:s|ed|ing)?)"
_REFERENCE: Final = (
    r"(?:[\w.-]+/[\w.-]+)?[#!]\d+|GH-\d+|https?://\S+/(?:issues|pulls?|merge_requests|work_items|discussions)/\d+"
)
CLOSING: Final = re.compile(rf"\b{_VERB}\b[\s:]*(?:issues?\s+)?(?:{_REFERENCE})", re.IGNORECASE)
ANY_REFERENCE: Final = re.compile(r"#\d|\bGH-\d", re.IGNORECASE)
MENTION: Final = re.compile(r"(?<!\w)@[A-Za-z0-9]")
SKIP_MARKS: Final = (
    # GitHub Actions
    *("[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]"),
    # Azure Pipelines
    *(
        "***NO_CI***",
        "[skip azurepipelines]",
        "[azurepipelines skip]",
        "[skip azp]",
        "[azp skip]",
        "[azpipelines skip]",
    ),
    # GitLab, Cloudflare, Buildkite, Amplify, AppVeyor, Travis, JFrog, Vela, Codeship, pre-commit.ci, Netlify
    *("[ci-skip]", "[skip-ci]", "[CF-Pages-Skip]", "[ci_skip]", "[skip-cd]", "[skip appveyor]", "[skip travis-ci]"),
    *("[skipRun]", "[skip vela]", "[vela skip]", "--skip-ci", "--ci-skip", "[skip pre-commit.ci]", "[skip netlify]"),
    *("[skip circle]", "[skip release]", "[doc skip]"),
)
SKIP_TRAILER: Final = re.compile(r"(?:skip|request)-checks\s*[:=]", re.IGNORECASE)
REFERENCES: Final = (
    *("#12", "acme/shop#12", "GH-12", "gh-7", "https://github.com/acme/shop/issues/12", "acme/shop!3"),
    *("https://github.com/acme/shop/pull/12", "http://git.acme.example/a/b/-/issues/4", "AB#12", "(#12)", "##12"),
)
VERBS: Final = ("close", "Closes", "CLOSED", "fix", "fixes:", "Fixed", "resolve", "Resolves :", "resolved", "Closing")
FORGED: Final = (
    *("Co-authored-by: Linus Torvalds <torvalds@linux-foundation.org>", "Signed-off-by: A Stranger <s@stranger.io>"),
    *("skip-checks: true", "Skip-Checks:true", "Reviewed-by: Boss <boss@acme.com>", "Kiro-Worker-Task: all"),
    *("on-behalf-of: @acme <acme@acme.com>", "Change-Id: I0123", "---", "--- a/x", "Acked-By : B <b@acme.com>"),
)
OTHER: Final = (
    *("@alice", "@acme/owners", "\u200b", "\u202e", "\x00", "\x1b[31m", "\r", "\udce9", "fixup! ", "#close", "# "),
    *("[", "]", "[[", "]]", "#", "@", "-", "--", "***", "skip", "ci", "no", ":", "\u2028", "/issues/", "Add a price"),
)

hostile_text = st.lists(
    st.one_of(
        st.sampled_from((*SKIP_MARKS, *REFERENCES, *VERBS, *FORGED, *OTHER)),
        st.sampled_from((" ", " ", "\n", "\n\n", "\t", "")),
        st.text(max_size=8),
    ),
    max_size=24,
).map("".join)
"""Texts of such pieces, side by side, on one or more lines."""


def obeyed_in(text: str) -> list[str]:
    """Return everything in ``text`` that a system would obey."""
    lowered = text.lower()
    found = [mark for mark in SKIP_MARKS if mark.lower() in lowered]
    for pattern in (CLOSING, ANY_REFERENCE, MENTION, SKIP_TRAILER):
        found += [match[0] for match in pattern.finditer(text)]
    return found
