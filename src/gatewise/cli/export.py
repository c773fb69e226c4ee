"""`gatewise export`: a model as a file of another library."""

from __future__ import annotations

from gatewise.cli.options import command, json_option, model_name, model_option, open_model, option, overwrite_option
from gatewise.cli.output import check_overwrite, print_json
from gatewise.errors import InputError, quote


@command()
@model_option
@option("-o", "--out", metavar="FILE.onnx", required=True, help="Output file.")
@overwrite_option
@json_option
def export(model: str | None, out: str, overwrite: bool, as_json: bool) -> None:
    """Export a model to ONNX: embedding, LSTM layers, pooling, dense layer, n-grams or convolutions, probabilities.

    ONNX Runtime computes 1,000 random inputs with the new graph first. The file is written only if each logit is equal
    to 1e-5. Texts enter the graph as token ids.

    \b
    gatewise export -m models/imdb-fast -o imdb.onnx
    """
    from dataclasses import asdict

    if not out.endswith(".onnx"):
        raise InputError(f"-o must be a file name that ends in .onnx, not {quote(out)}")
    check_overwrite(out, overwrite)
    report = open_model(model).to_onnx(out)
    if as_json:
        print_json({"model": model_name(model), **asdict(report)})
        return
    print(f"inputs: {report.inputs}")
    print(f"largest difference of a logit from ONNX Runtime, {report.checked:,} random inputs: {report.max_error:.1e}")
    print(f"saved to {quote(out, 200)}: {report.bytes:,} bytes, opset {report.opset}")
