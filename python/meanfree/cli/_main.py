"""The command line: ``meanfree report | audit | critical | phase | spectrum | build-info``.

Everything heavy is imported by the command that needs it, so that ``meanfree --help`` is quick.
Exit codes: 0 fine, 1 wrong usage or input, 2 not converged, 3 a verdict failed, 130 interrupted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meanfree.report.engine import Report

FINE, WRONG, NOT_CONVERGED, DISAGREES, INTERRUPTED = 0, 1, 2, 3, 130

app = typer.Typer(
    name="meanfree",
    help="Statistical mechanics of deep learning: theory, simulation and real networks.",
    epilog="Exit codes: 0 fine, 1 wrong usage, 2 not converged, 3 a verdict failed, "
    "130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _seed(value: int) -> int:
    from meanfree import _check

    try:
        return _check.seed(value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Seed = Annotated[
    int, typer.Option("--seed", metavar="N", help="Seed of all random numbers.", callback=_seed)
]
Threads = Annotated[
    int | None,
    typer.Option("--threads", metavar="N", help="Threads; all allowed cores by default.", min=1),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON; null for inf and nan.")]
FigureFile = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="Write the figure (.png, .pdf or .svg)."),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress; the result is still printed.")
]
SigmaB = Annotated[
    float, typer.Option("--sigma-b", metavar="X", help="Standard deviation of the biases.")
]
Weights = Annotated[str, typer.Option("--weights", metavar="LAW", help="gaussian or orthogonal.")]


def _print_json(data: Any) -> None:
    from meanfree.report.page import plain

    typer.echo(json.dumps(plain(data), indent=1, ensure_ascii=False, allow_nan=False))


def _print_pairs(rows: Sequence[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        typer.echo(f"{name:<{width}}  {value}")


@app.command()
def report(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write.")] = Path(
        "report"
    ),
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="CHAPTER", help="By number, figure or name; may be repeated."
        ),
    ] = None,
    seed: Seed = 20170711,
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Set the theory beside simulation; write report/index.html.

    A number agrees if |theory - mean| <= 4 standard errors + the finite-width bound, which is
    printed beside it. The exit code is 3 if one does not.
    """
    from meanfree import __version__, build_info
    from meanfree._check import cores
    from meanfree.report import engine, page, terminal

    settings = engine.Settings(seed=seed, n_threads=cores(threads))
    chapters = engine.choose(engine.load_chapters(), only or [])
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"--out must be a folder that can be made, got {str(out)!r}: {error.strerror}"
        raise ValueError(message) from error
    lines = terminal.Silence() if as_json or quiet else terminal.Terminal()
    if isinstance(lines, terminal.Terminal):
        many = "s" if settings.n_threads != 1 else ""
        lines.heading(
            f"meanfree {__version__} · {build_info()['isa']} · {settings.n_threads} thread{many}"
            f" · seed {seed} · writing {out}/"
        )
    result = engine.run_report(chapters, settings, lines)
    page.write(result, out)
    if as_json:
        _print_json(page.to_data(result))
    else:
        typer.echo(terminal.summary(result))
        if not quiet:
            typer.echo(f"open {out}/index.html      data: {out}/report.json")
    return _report_code(result)


def _report_code(result: Report) -> int:
    for chapter in result.chapters:
        if chapter.error is not None:
            typer.echo(f"chapter {chapter.chapter.number} {chapter.status}", err=True)
    if result.tally.n_disagreeing:
        return DISAGREES
    return max((_error_code(error) for error in result.errors), default=FINE)


@app.command()
def audit(
    model: Annotated[
        str, typer.Argument(help="FILE.py:FUNCTION; the function returns the torch model.")
    ],
    data: Annotated[
        str,
        typer.Option("--data", metavar="DATA", help="digits, or a file: .npy, .npz (x, y) or .pt."),
    ],
    samples: Annotated[
        int, typer.Option("--samples", metavar="N", help="Independent draws of the weights.", min=2)
    ] = 20,
    out: FigureFile = None,
    seed: Seed = 0,
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Predict and measure q and the gradient of every layer of a torch model.

    Says which phase the initialisation is in, whether gradients reach the first layers, and what
    to do about it. The exit code is 3 if theory and measurement of a layer disagree.
    """
    from meanfree.cli._audit import load_data, load_model, no_exit
    from meanfree.cli._figure import check_path, save_plot
    from meanfree.network import audit as audit_model

    check_path(out)
    inputs, targets = load_data(data)
    built = load_model(model)
    with no_exit(model):
        result = audit_model(
            built,
            inputs,
            targets=targets,
            n_samples=samples,
            seed=seed,
            n_threads=threads,
            progress=False if quiet or as_json else None,
        )
    if out is not None:
        save_plot(result, out)
    if as_json:
        _print_json(result.to_dict())
    else:
        typer.echo(str(result.table()))
    return DISAGREES if any(layer.verdict == "disagrees" for layer in result.layers) else FINE


@app.command()
def critical(
    activation: Annotated[str, typer.Argument(help="tanh, relu, gelu, ...")],
    sigma_b: SigmaB = 0.0,
    weights: Weights = "gaussian",
    as_json: Json = False,
    _quiet: Quiet = False,
) -> int:
    """Print the critical initialisation of an activation.

    That is the sigma_w at which chi_1 = 1 for the given sigma_b.
    """
    import meanfree as mf
    from meanfree.cli._critical import critical_data, critical_rows

    ensemble = mf.critical(activation, sigma_b, weights=weights)  # type: ignore[arg-type]
    if as_json:
        _print_json(critical_data(activation, ensemble))
    else:
        _print_pairs(critical_rows(activation, ensemble))
    return FINE


@app.command()
def phase(
    activation: Annotated[str, typer.Argument(help="tanh, relu, gelu, ...")],
    sigma_w: Annotated[
        str,
        typer.Option("--sigma-w", metavar="RANGE", help="A number, low:high or low:high:count."),
    ] = "0.5:4",
    sigma_b: Annotated[
        str,
        typer.Option("--sigma-b", metavar="RANGE", help="A number, low:high or low:high:count."),
    ] = "0:2",
    out: FigureFile = None,
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Print a fixed point, or map the phases over a range.

    With one number for each of sigma_w and sigma_b: the fixed point there. Otherwise the phases
    over the grid of both.
    """
    import meanfree as mf
    from meanfree.cli._critical import point_data, point_rows
    from meanfree.cli._figure import check_path, save_plot
    from meanfree.cli._phase import as_text, axis

    check_path(out)
    w, b = axis("--sigma-w", sigma_w), axis("--sigma-b", sigma_b)
    if w.size == b.size == 1:
        if out is not None:
            message = "--out needs a range of --sigma-w or --sigma-b to draw, got one point"
            raise ValueError(message)
        point = mf.fixed_point(mf.Ensemble(activation, float(w[0]), float(b[0])))
        if as_json:
            head = {"activation": activation, "sigma_w": w[0], "sigma_b": b[0]}
            _print_json(head | point_data(point))
        else:
            _print_pairs([("activation", activation), *point_rows(point)])
        return FINE
    diagram = mf.phase_diagram(
        activation, w, b, n_threads=threads, progress=False if quiet or as_json else None
    )
    if out is not None:
        save_plot(diagram, out)
    if as_json:
        fields = ("sigma_w", "sigma_b", "q", "c", "chi_1", "xi_q", "xi_c", "phase", "status")
        _print_json({"activation": activation} | {name: getattr(diagram, name) for name in fields})
    else:
        typer.echo(as_text(activation, diagram))
        if out is not None and not quiet:
            typer.echo(f"figure  {out}")
    return FINE


@app.command()
def spectrum(
    activation: Annotated[str, typer.Argument(help="tanh, relu, gelu, ...")],
    depth: Annotated[int, typer.Option("--depth", metavar="N", help="Layers.")] = 10,
    sigma_w: Annotated[
        float | None,
        typer.Option(
            "--sigma-w", metavar="X", help="Standard deviation of the weights; default critical."
        ),
    ] = None,
    sigma_b: SigmaB = 0.0,
    weights: Weights = "gaussian",
    q: Annotated[
        float | None,
        typer.Option("--q", metavar="X", help="Squared pre-activation of layer 1; default q*."),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option("--width", metavar="N", help="Simulate networks of this width, too."),
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", metavar="N", help="Networks to simulate.", min=2)
    ] = 16,
    out: FigureFile = None,
    seed: Seed = 0,
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Print the spectrum of the Jacobian of a deep network.

    That is the law of its squared singular values: mean, edges, atoms and quantiles; with --width
    the measured ones beside them, and the distance between both distributions.
    """
    from meanfree.cli._figure import check_path, save_plot
    from meanfree.cli._spectrum import compare, ensemble_of

    check_path(out)
    ensemble = ensemble_of(activation, sigma_w, sigma_b, weights)
    progress = False if quiet or as_json else None
    result = compare(ensemble, depth, q, width, samples, seed, threads, progress)
    if out is not None:
        save_plot(result, out)
    if as_json:
        _print_json(result.data())
    else:
        _print_pairs(result.rows())
        if out is not None and not quiet:
            typer.echo(f"figure  {out}")
    return FINE


@app.command("build-info")
def build_info(as_json: Json = False, _quiet: Quiet = False) -> int:
    """Print the version and how the core was compiled."""
    import meanfree as mf

    info = mf.build_info()
    if as_json:
        _print_json(info)
    else:
        _print_pairs([(name, str(value)) for name, value in info.items()])
    return FINE


def _error_code(error: BaseException) -> int:
    from meanfree import ConvergenceError

    return NOT_CONVERGED if isinstance(error, ConvergenceError) else WRONG


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    command = typer.main.get_command(app)
    try:
        arguments = None if arguments is None else list(arguments)
        code = command.main(arguments, prog_name="meanfree", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:
        show = getattr(error, "show", None)
        if show is not None:  # wrong usage, as typer found it
            show()
            return WRONG
        text = " ".join(str(error).split()) or type(error).__name__
        typer.echo(f"meanfree: {text}", err=True)
        return _error_code(error)
    if code == INTERRUPTED:
        typer.echo("meanfree: interrupted", err=True)
    return int(code or FINE)


if __name__ == "__main__":
    sys.exit(main())
