"""The command `spurcli list`: what is registered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from spurcli.artifacts.envelope import JsonObject
from spurcli.cli.completion import completes
from spurcli.cli.options import Debug, Json

if TYPE_CHECKING:
    from spurcli.evaluation.metric import Description
    from spurcli.registry import Registry

app = typer.Typer(add_completion=False)

_CAPTIONS = {
    "models": "Every model also has the option weights, a local file to start from: "
    "--set model.options.weights=FILE. Nothing is downloaded; docs/models.md says where weights come from."
}


@app.command(name="list")
def list_parts(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND",
            help="datasets, features, scores, models, methods, ways, finders, recipes, metrics or rules.",
            autocompletion=completes("datasets features scores models methods ways finders recipes metrics rules"),
        ),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List data sets, features, scores, models, methods, ways of inferring, finders, recipes, metrics, and
    rules that choose an epoch.

    Options that take one of these names also take your own package.module:attr or path/to/file.py:attr.
    """
    from rich.box import SIMPLE
    from rich.markup import escape
    from rich.table import Table

    from spurcli import recipes
    from spurcli.cli.console import print_json, results
    from spurcli.epoch_rules import RULES
    from spurcli.errors import UsageError
    from spurcli.evaluation.metrics import METRICS
    from spurcli.registries import ALL
    from spurcli.registry import near

    tables: dict[str, list[JsonObject]] = {}
    for registry in ALL:
        plural = (
            registry.kind.replace("data set", "dataset").removeprefix("training ").removesuffix(" of inferring") + "s"
        )
        tables[plural] = [
            {
                "name": name,
                "summary": entry.summary,
                "source": entry.source,
                **entry.facts,
                **_options(registry, name),
            }
            for name, entry in registry.entries.items()
        ]
    tables["recipes"] = [
        {"name": name, "summary": recipes.read_recipe(name).get("summary", ""), "source": ""}
        for name in recipes.names()
    ]
    tables["metrics"] = [
        {"name": name, "summary": entry.summary, "source": entry.source, **_shown_as(entry.description)}
        for name, entry in METRICS.items()
    ]
    tables["rules"] = [{"name": name, "summary": rule.summary, "source": ""} for name, rule in RULES.items()]
    if kind is not None and kind not in tables:
        raise UsageError(f"Unknown kind {kind!r}{near(kind, tables)}", f"Kinds: {', '.join(tables)}")
    chosen = {kind: tables[kind]} if kind else tables
    if as_json:
        print_json(chosen)
        return
    stdout = results()
    for title, rows in chosen.items():
        table = Table(
            box=SIMPLE,
            title=title,
            title_justify="left",
            title_style="bold",
            show_header=False,
            caption=_CAPTIONS.get(title),
            caption_justify="left",
        )
        table.add_column(style="cyan", no_wrap=True)
        table.add_column()
        for row in rows:
            direction = f" [dim](higher is {row['higher_is']})[/dim]" if "higher_is" in row else ""
            direction += " [dim](lower is better)[/dim]" if row.get("lower_is_better") else ""
            inputs = f" [dim](for {row['for']})[/dim]" if "for" in row else ""
            inputs += f" [dim](needs {row['needs']})[/dim]" if "needs" in row else ""
            source = f"\n[dim]{row['source']}[/dim]" if row["source"] else ""
            words = ", ".join(f"{key}={_typed(value)}" for key, value in row.get("options", {}).items())
            options = f"\nOptions: {escape(words)}" if words else ""
            table.add_row(row["name"], escape(row["summary"]) + direction + inputs + options + source)
        stdout.print(table)


def _shown_as(description: Description) -> JsonObject:
    return {"label": description.label, "unit": description.unit, "lower_is_better": description.lower_is_better}


def _typed(value: Any) -> str:
    """A default as it would be typed after --set."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _options(registry: Registry, name: str) -> dict[str, JsonObject]:
    """Options and defaults of a data set or a feature, from its signature; for parts with torch only the summary has them."""
    import inspect

    from spurcli.registries import DATASETS, FEATURES

    if registry not in (DATASETS, FEATURES):
        return {}
    parameters = inspect.signature(registry.load(name)).parameters.values()
    given = ("data_root", "image_size")
    return {
        "options": {
            item.name: item.default for item in parameters if item.kind is item.KEYWORD_ONLY and item.name not in given
        }
    }
