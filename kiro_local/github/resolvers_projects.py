"""Resolvers for the root fields, owners, projects, cards and the values of their fields."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from kiro_local.github.item_filter import matcher
from kiro_local.github.model import Field, Issue, Item, Project, PullRequest
from kiro_local.github.resolvers import Table, connection, github_error, node_of_kind, not_found

if TYPE_CHECKING:
    from kiro_local.github.model import Owner, Repository
    from kiro_local.github.resolvers import Context

TABLE: Final = Table()


@dataclass(frozen=True)
class FieldValue:
    field: Field
    raw: str
    updated_at: datetime

    @property
    def typename(self) -> str:
        return "ProjectV2ItemFieldTextValue" if self.field.options is None else "ProjectV2ItemFieldSingleSelectValue"

    @property
    def text(self) -> str:
        return self.raw

    @property
    def option_id(self) -> str:
        return self.raw

    @property
    def name(self) -> str:
        return next(option.name for option in self.field.options or () if option.id == self.raw)


@TABLE.of("Query.organization")
def _organization(_: Any, context: Context, login: str) -> Owner:
    owner = context.board.owner(login)
    if owner is None or owner.typename != "Organization":
        raise not_found(f"Could not resolve to an Organization with the login of '{login}'.")
    return owner


@TABLE.of("Query.user")
def _user(_: Any, context: Context, login: str) -> Owner:
    owner = context.board.owner(login)
    if owner is None or owner.typename != "User":
        raise not_found(f"Could not resolve to a User with the login of '{login}'.")
    return owner


@TABLE.of("Query.viewer")
def _viewer(_: Any, context: Context) -> Owner:
    return context.viewer()


@TABLE.of("Query.repository")
def _repository(_: Any, context: Context, owner: str, name: str, **__: Any) -> Repository:
    return _find_repository(context, f"{owner}/{name}")


def _find_repository(context: Context, name: str) -> Repository:
    repository = context.visible(context.board.repository(name))
    if repository is None:
        raise not_found(f"Could not resolve to a Repository with the name '{name}'.")
    return repository


@TABLE.of("Organization.repository", "User.repository")
def _repository_of(owner: Owner, context: Context, name: str, **__: Any) -> Repository:
    return _find_repository(context, f"{owner.login}/{name}")


@TABLE.of("Query.node")
def _node(_: Any, context: Context, id: str) -> Any:  # noqa: A002  # GitHub's name of the argument
    node = context.board.node(id)
    if node is None:
        raise not_found(f"Could not resolve to a node with the global id of '{id}'")
    if isinstance(node, Project):
        _check_project_access(context, node.owner)
    return node


@TABLE.of("Query.rateLimit")
def _rate_limit(_: Any, context: Context, **__: Any) -> dict[str, Any]:
    balance = context.balance
    return {
        "cost": context.estimate.cost,
        "limit": balance.limit,
        "nodeCount": context.estimate.nodes,
        "remaining": balance.remaining,
        "resetAt": datetime.fromtimestamp(balance.reset, UTC),
        "used": balance.used,
    }


@TABLE.of("Organization.projectV2", "User.projectV2")
def _project(owner: Owner, context: Context, number: int) -> Project:
    _check_project_access(context, owner)
    project = context.board.project(owner.login, number)
    if project is None:
        raise not_found(f"Could not resolve to a ProjectV2 with the number {number}.")
    return project


def _check_project_access(context: Context, owner: Owner) -> None:
    """Reject a fine-grained token for a user's project."""
    if context.token.scopes is None and owner.typename == "User":
        raise github_error("FORBIDDEN", "Resource not accessible by personal access token")


@TABLE.of("Organization.projectsV2", "User.projectsV2")
def _projects(owner: Owner, context: Context, **page: Any) -> dict[str, Any]:
    hidden = context.token.scopes is None and owner.typename == "User"
    return connection([each for each in context.board.projects if each.owner is owner and not hidden], **page)


@TABLE.of("ProjectV2.field")
def _field(project: Project, _: Context, name: str) -> Field | None:
    return project.field_named(name)


@TABLE.of("ProjectV2.fields")
def _fields(project: Project, _: Context, **page: Any) -> dict[str, Any]:
    return connection(project.fields, **page)


@TABLE.of("ProjectV2SingleSelectField.options")
def _options(field: Field, _: Context, names: list[str] | None = None) -> list[Any]:
    return [option for option in field.options or () if names is None or option.name in names]


@TABLE.of("ProjectV2.items")
def _items(
    project: Project,
    _: Context,
    query: str | None = None,
    archivedStates: list[str] | None = None,  # noqa: N803  # GitHub's name
    orderBy: dict[str, str] | None = None,  # noqa: N803
    **page: Any,
) -> dict[str, Any]:
    shown = matcher(query)
    states = archivedStates or ["NOT_ARCHIVED"]
    ordered = project.items[::-1] if orderBy and orderBy["direction"] == "DESC" else project.items
    return connection(
        ordered,
        keep=lambda item: ("ARCHIVED" if item.is_archived else "NOT_ARCHIVED") in states and shown(item),
        **page,
    )


@TABLE.of("ProjectV2Item.fieldValueByName")
def _field_value(item: Item, _: Context, name: str) -> FieldValue | None:
    field = item.project.field_named(name)
    raw = item.values.get(field.id) if field else None
    return FieldValue(field, raw, item.changed_at[field.id]) if field and raw is not None else None


@TABLE.of("ProjectV2Item.content")
def _content(item: Item, context: Context) -> Any:
    """The content; null if the viewer may not see it, with an error only where single sign-on or an app decides."""
    content = item.content
    if item.hides == "content":
        raise github_error("FORBIDDEN", "Resource protected by organization SAML enforcement.")
    if isinstance(content, Issue | PullRequest) and not context.visible(content.repository):
        return None
    return content


@TABLE.of("ProjectV2Item.type")
def _item_type(item: Item, context: Context) -> str:
    hidden = item.content is not None and _content(item, context) is None
    return "REDACTED" if hidden else item.type


@TABLE.of("Mutation.updateProjectV2ItemFieldValue")
def _update_field_value(_: Any, context: Context, input: dict[str, Any]) -> dict[str, Any]:  # noqa: A002  # GitHub's name
    project = node_of_kind(context, input["projectId"], Project)
    item = node_of_kind(context, input["itemId"], Item)
    field = node_of_kind(context, input["fieldId"], Field)
    _check_project_access(context, project.owner)
    if item.project is not project:
        raise github_error("VALIDATION", "The item does not exist in the project")
    if field.project is not project:
        raise github_error("VALIDATION", "The field does not exist in the project")
    item.set(field, _new_value(field, input["value"]))
    return {"clientMutationId": input.get("clientMutationId"), "projectV2Item": item}


def _new_value(field: Field, value: dict[str, Any]) -> str:
    """The text or option ID in the input, which must match the type of the field."""
    given = {key: each for key, each in value.items() if each is not None}
    if set(given) != {"text" if field.options is None else "singleSelectOptionId"}:
        raise github_error(
            "VALIDATION",
            "Did not receive a text value to update a field of type text"
            if field.options is None
            else "Did not receive a single select option Id to update a field of type single_select",
        )
    (raw,) = given.values()
    if field.options is not None and raw not in {option.id for option in field.options}:
        raise github_error("VALIDATION", "The single select option Id does not belong to the field")
    return str(raw)
