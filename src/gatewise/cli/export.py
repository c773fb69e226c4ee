"""`gatewise export`: a model as a file of another library."""

from __future__ import annotations

from typing import Annotated

import typer

from gatewise.cli.arguments import JsonOption, ModelArgument, open_model, option
from gatewise.cli.output import check_overwrite, print_json
from gatewise.errors import InputError, quote


def export(
    model: ModelArgument,
    out: Annotated[str, option("--out", "FILE.onnx", "Output file.", "-o")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output file.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Export a model to ONNX: embedding, LSTM layers, pooling, dense layer, n-grams or convolutions, probabilities.

    ONNX Runtime computes 1,000 random inputs with the new graph first. The file is written only if each logit is equal
    to 1e-5. Texts enter the graph as token ids.

    \b
    gatewise export models/imdb-fast -o imdb.onnx
    """
    from dataclasses import asdict

    if not out.endswith(".onnx"):
        raise InputError(f"-o must be a file name that ends in .onnx, not {quote(out)}")
    check_overwrite(out, overwrite)
    report = open_model(model).to_onnx(out)
    if as_json:
        print_json({"model": model, **asdict(report)})
        return
    print(f"inputs: {report.inputs}")
    print(f"largest difference of a logit from ONNX Runtime, {report.checked:,} random inputs: {report.max_error:.1e}")
    print(f"saved to {quote(out, 200)}: {report.bytes:,} bytes, opset {report.opset}")
