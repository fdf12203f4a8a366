"""An insight: the answer to one question over a span of days."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from pydantic import Field

from tessera.errors import Invalid
from tessera.insights.results import QueryEngine, Type
from tessera.insights.statements import bound, statement
from tessera.model.clock import SECOND, Millis
from tessera.model.session import Model

USUAL_DAYS, MOST_DAYS = 30, 366


class InsightColumn(Model):
    """A column of an insight."""

    name: str
    type: Annotated[Type, Field(description="What its values are; a date is a text, YYYY-MM-DD.")]


class Insight(Model):
    """An insight; each row has a value for every column, null where there is none."""

    name: str
    from_: Annotated[date, Field(alias="from", description="The first day, in UTC.")]
    to: Annotated[date, Field(description="The last day, included.")]
    columns: list[InsightColumn]
    rows: list[dict[str, Any]]


class Insights:
    """The insights, on a query engine."""

    def __init__(self, engine: QueryEngine) -> None:
        self._engine = engine

    def get(self, name: str, first: date, last: date) -> Insight:
        """Return an insight over these days.

        Raises:
            InsightNotFound: there is none of that name.
            What the engine raises.

        """
        result = self._engine.run(bound(statement(name), first, last))
        columns = [InsightColumn(name=column.name, type=column.type) for column in result.columns]
        return Insight(name=name, from_=first, to=last, columns=columns, rows=list(result.rows))


def span(first: str | None, last: str | None, now: Millis) -> tuple[date, date]:
    """Return the days that are meant: by default the last 30 days, today among them.

    Raises:
        Invalid: what is no day, a span that ends before it begins, one of more than 366 days.

    """
    end = _day(last, "query/to") or datetime.fromtimestamp(now / SECOND, UTC).date()
    begin = _day(first, "query/from") or end - timedelta(days=USUAL_DAYS - 1)
    if not begin <= end < begin + timedelta(days=MOST_DAYS):
        raise Invalid.at("query/from", f"must be 0 to {MOST_DAYS - 1} days before `to`")
    return begin, end


def _day(text: str | None, pointer: str) -> date | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise Invalid.at(pointer, "must be a day such as 2026-11-20") from error
