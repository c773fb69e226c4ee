"""`gatewise export`: a model as a file of another library."""

from dataclasses import asdict
from typing import Any

from gatewise.cli import options
from gatewise.cli.options import command, option
from gatewise.cli.output import check_ending, check_overwrite, print_json
from gatewise.errors import quote


@command()
@options.model_option
@option("-o", "--out", metavar="FILE.onnx", required=True, help="Output file.")
@options.overwrite_option
@options.json_option
def export(given: Any) -> None:
    """Export a model to ONNX: embedding, LSTM layers, pooling, dense layer, n-grams or convolutions, probabilities.

    ONNX Runtime computes 1,000 random inputs with the new graph first. The file is written only if each logit is equal
    to 1e-5. Texts enter the graph as token ids.

    \b
    gatewise export -m models/imdb-fast -o imdb.onnx
    """
    check_ending("-o", given.out, ".onnx")
    check_overwrite(given.out, given.overwrite)
    report = options.open_model(given.model).to_onnx(given.out)
    if given.as_json:
        print_json({"model": options.model_name(given.model), **asdict(report)})
        return
    print(f"inputs: {report.inputs}")
    print(f"largest difference of a logit from ONNX Runtime, {report.checked:,} random inputs: {report.max_error:.1e}")
    print(f"saved to {quote(given.out, 200)}: {report.bytes:,} bytes, opset {report.opset}")
