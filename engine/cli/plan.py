"""``optical-workbench plan``: the transport plan of two sentences, in a table or in a file."""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.options import complete_run, json_option, print_json, refreshed, results_option
from engine.cli.output import say
from engine.cli.tables import print_facts, print_table
from engine.errors import InputError
from engine.extensions.transport import SOLVERS
from engine.pictures.shading import epsilon_text

FORMATS = (".png", ".svg", ".npz")


@click.command()
@click.argument("run", shell_complete=complete_run)
@click.option("--source", required=True, help="The sentence that the student encodes.")
@click.option("--target", required=True, help="The English sentence that the teacher encodes.")
@click.option("--language", default="und", help="The language of the source, an ISO code, for the record.")
@click.option(
    "--epsilon",
    type=float,
    help="The setting epsilon, in the unit of the run's epsilon_scale.",
)
@click.option("--solver", type=click.Choice(list(SOLVERS)), help="Another solver.")
@click.option("--iterations", type=int, help="Maximum number of iterations instead of the run's.")
@click.option("--export", type=click.Path(path_type=Path, dir_okay=False), help="A .png, .svg or .npz file.")
@results_option
@json_option
def plan(
    run: str,
    source: str,
    target: str,
    language: str,
    epsilon: float | None,
    solver: str | None,
    iterations: int | None,
    export: Path | None,
    results: Path,
    as_json: bool,
) -> None:
    """Show the transport plan between two sentences, with RUN's encoders and transport settings."""
    if export is not None and export.suffix.lower() not in FORMATS:
        raise InputError(f"a plan is exported as {', '.join(FORMATS)}", path=export)
    refreshed(results)

    from engine.evaluation.finished_run import config_of, find_run
    from engine.inspect.plan import Planner, transport_settings

    folder = find_run(results, run)
    changed = {"epsilon": epsilon, "solver": solver, "iterations": iterations}
    changes = {key: value for key, value in changed.items() if value is not None}
    try:
        transport = transport_settings(config_of(folder), changes)
    except InputError as error:
        raise InputError(str(error).replace("transport.", "--", 1)) from error
    row = Planner().plan(folder, source, target, transport, language=language).columns()
    if export is not None:
        from engine.pictures.plans import export_plan

        note = export_plan(row, export)
        say(f"wrote {export}" + (f"; {note}" if note else ""))
    if as_json:
        print_json({**row, "plan": row["plan"].tolist(), "cost": row["cost"].tolist()})
        return
    mass, cost = row["plan"], row["cost"]
    rows = []
    for i, token in enumerate(row["source_tokens"]):
        best = mass[i].argsort()[::-1][:3]
        total = mass[i].sum()
        cells = [f"{row['target_tokens'][j]} {mass[i, j] / total:.0%} ({cost[i, j]:.2f})" for j in best]
        rows.append([token, f"{total:.3f}", *cells, *[""] * (3 - len(cells))])
    print_table(["token", "mass", "first: share (cost)", "second", "third"], rows, right=["mass"])
    used = epsilon_text(row["epsilon"], transport.epsilon, transport.epsilon_scale)
    print_facts(
        [
            ("cost <T,C>", f"{row['value']:.4f}"),
            ("solver", f"{row['solver']}, {used}, {row['iterations']} iterations"),
            ("converged", "yes" if row["converged"] else "no"),
            ("marginal error", f"{row['marginal_error']:.2g}"),
            ("row entropy", f"{row['entropy']:.3f} nats"),
        ]
    )
