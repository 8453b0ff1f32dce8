"""Every GraphQL operation that the worker sends, except those of :mod:`kiro_worker.github.readiness_queries`.

The tests validate each operation against GitHub's public schema and against the stand-in's subset of it. GitHub prices
a query by the number of requests that its connections need, divided by 100, rounded, at least 1
(https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api). ``FETCH_WORK_ITEM``
reads a page of 100 cards with their linked branches: 101 requests, 1 point, for a board of any size.
"""

from __future__ import annotations

from typing import Final

from gql import GraphQLRequest

_CARD = """
fragment Card on ProjectV2Item {
  id
  type
  isArchived
  status: fieldValueByName(name: $statusField) {
    ... on ProjectV2ItemFieldSingleSelectValue { name optionId updatedAt }
  }
  branch: fieldValueByName(name: $branchField) { ... on ProjectV2ItemFieldTextValue { text } }
  spec: fieldValueByName(name: $specField) { ... on ProjectV2ItemFieldTextValue { text } }
  content {
    __typename
    ... on DraftIssue { id title }
    ... on Issue {
      id number title url
      issueState: state
      repository { nameWithOwner }
      linkedBranches(first: 10) { nodes { ref { name repository { nameWithOwner } } } }
    }
    ... on PullRequest {
      id number title url
      pullRequestState: state
      repository { nameWithOwner }
      headRefName
    }
  }
}
"""

_STATUS_FIELD = """
fragment StatusField on ProjectV2 {
  id
  title
  closed
  statusField: field(name: $statusField) {
    __typename
    ... on ProjectV2SingleSelectField { id name options { id name } }
  }
}
"""

RATE_LIMIT = "rateLimit { cost remaining resetAt }"


def _board(name: str, variables: str, items: str) -> GraphQLRequest:
    """One query for the project of an organization or a user: ``@include`` and ``@skip`` select the owner."""
    project = "projectV2(number: $projectNumber) { ...StatusField ...Items }"
    return GraphQLRequest(
        f"""
query {name}(
  $owner: String!, $ofOrganization: Boolean!, $projectNumber: Int!,
  $statusField: String!, $branchField: String!, $specField: String!,
  $priorityField: String!, $byPriority: Boolean!{variables}
) {{
  organization(login: $owner) @include(if: $ofOrganization) {{ {project} }}
  user(login: $owner) @skip(if: $ofOrganization) {{ {project} }}
  {RATE_LIMIT}
}}
fragment Items on ProjectV2 {{
  items({items}, orderBy: {{field: POSITION, direction: ASC}}) {{
    totalCount
    pageInfo {{ hasNextPage endCursor }}
    nodes {{ ...Card ...Priority }}
  }}
  priorityField: field(name: $priorityField) @include(if: $byPriority) {{
    __typename
    ... on ProjectV2SingleSelectField {{ id name options {{ id name }} }}
  }}
}}
fragment Priority on ProjectV2Item {{
  priority: fieldValueByName(name: $priorityField) @include(if: $byPriority) {{
    ... on ProjectV2ItemFieldSingleSelectValue {{ name }}
  }}
}}
{_STATUS_FIELD}{_CARD}"""
    )


FETCH_WORK_ITEM: Final = _board(
    "FetchWorkItem", ", $query: String!, $after: String", "first: 100, after: $after, query: $query"
)
"""A page of the cards in the target status, in the board's order, filtered by the server."""

FETCH_PAGE: Final = _board("FetchPage", ", $after: String", "first: 100, after: $after")
"""A page of the whole board, for servers whose ``items`` lacks ``query`` (GitHub Enterprise Server before 3.20)."""

CARDS: Final = ("items",)
"""The field of both operations below which GitHub reports each card that a token may not read."""

READ_CARD: Final = GraphQLRequest(
    f"""
query ReadCard($itemId: ID!, $statusField: String!, $branchField: String!, $specField: String!) {{
  node(id: $itemId) {{ __typename ... on ProjectV2Item {{
      ...Card
      project {{ number owner {{ ... on Organization {{ login }} ... on User {{ login }} }} ...StatusField }}
    }}
   }}
  {RATE_LIMIT}
}}
{_STATUS_FIELD}{_CARD}"""
)
"""One card by its ID, with its board and the options of the status field."""

CONTENT: Final = ("content",)
"""The field of ``READ_CARD`` that is null if the token may not read the card's issue or pull request."""

READ_PUSHED: Final = GraphQLRequest(
    f"""
query ReadPushed($owner: String!, $name: String!, $ref: String!, $before: GitObjectID, $hasBefore: Boolean!) {{
  repository(owner: $owner, name: $name) {{
    ref(qualifiedName: $ref) {{ target {{ __typename ...Recent }} }}
    before: object(oid: $before) @include(if: $hasBefore) {{ __typename ...Recent }}
  }}
  {RATE_LIMIT}
}}
fragment Recent on Commit {{ history(first: 100) {{ nodes {{ oid }} }} }}
"""
)
"""The last hundred commits of a branch, the newest first, and those of the commit that a run started from."""

READ_LABELS: Final = GraphQLRequest(
    f"""
query ReadLabels($owner: String!, $name: String!, $number: Int!) {{
  repository(owner: $owner, name: $name) {{
    pullRequest(number: $number) {{
      labels(first: 100) {{ nodes {{ id name }} }}
      timelineItems(last: 100, itemTypes: [LABELED_EVENT]) {{
        nodes {{ ... on LabeledEvent {{ label {{ id }} actor {{ __typename login }} }} }}
      }}
    }}
  }}
  viewer {{ login }}
  {RATE_LIMIT}
}}
"""
)
"""The current labels of a pull request, and the last hundred events that added one, oldest first.

A pull request has at most a hundred labels.
"""

READ_PERMISSION: Final = GraphQLRequest(
    f"""
query ReadPermission($owner: String!, $name: String!, $login: String!) {{
  repository(owner: $owner, name: $name) {{
    collaborators(login: $login, first: 1) {{ edges {{ permission node {{ login }} }} }}
  }}
  {RATE_LIMIT}
}}
"""
)
"""One user's permission in a repository, whether as a collaborator, through a team or as an organization owner.

GitHub answers this only for a token that may push to the repository.
"""

SET_STATUS: Final = GraphQLRequest(
    """
mutation SetStatus($projectId: ID!, $itemId: ID!, $fieldId: ID!, $optionId: String!) {
  updateProjectV2ItemFieldValue(
    input: {projectId: $projectId, itemId: $itemId, fieldId: $fieldId, value: {singleSelectOptionId: $optionId}}
  ) { projectV2Item { id } }
}
"""
)

FIND_COMMENTS: Final = GraphQLRequest(
    f"""
query FindComments($subjectId: ID!, $before: String) {{
  node(id: $subjectId) {{
    __typename
    ... on Issue {{ comments(last: 100, before: $before) {{ ...Page }} }}
    ... on PullRequest {{ comments(last: 100, before: $before) {{ ...Page }} }}
  }}
  {RATE_LIMIT}
}}
fragment Page on IssueCommentConnection {{
  pageInfo {{ hasPreviousPage startCursor }}
  nodes {{ id url body viewerDidAuthor }}
}}
"""
)

ADD_COMMENT: Final = GraphQLRequest(
    """
mutation AddComment($subjectId: ID!, $body: String!) {
  addComment(input: {subjectId: $subjectId, body: $body}) { commentEdge { node { id url } } }
}
"""
)

UPDATE_COMMENT: Final = GraphQLRequest(
    """
mutation UpdateComment($commentId: ID!, $body: String!) {
  updateIssueComment(input: {id: $commentId, body: $body}) { issueComment { id url } }
}
"""
)

DELETE_COMMENT: Final = GraphQLRequest(
    """
mutation DeleteComment($commentId: ID!) {
  deleteIssueComment(input: {id: $commentId}) { clientMutationId }
}
"""
)

READ_PULL_REQUEST: Final = GraphQLRequest(
    f"""
query ReadPullRequest($id: ID!, $head: String!) {{
  node(id: $id) {{
    __typename
    ... on PullRequest {{
      number state isDraft mergeable baseRefName
      baseRef {{ compare(headRef: $head) {{ behindBy }} }}
    }}
  }}
  {RATE_LIMIT}
}}
"""
)
"""A pull request as a reviewer finds it. ``mergeable`` is ``UNKNOWN`` for some seconds after each push."""

COMPARISON: Final = ("baseRef",)
"""The field of ``READ_PULL_REQUEST`` that is null if the two branches cannot be compared."""
