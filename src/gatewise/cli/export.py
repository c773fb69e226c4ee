"""`gatewise export`: a model as a file of another library, or as a folder for a web page."""

from dataclasses import asdict
from typing import Any

import click

from gatewise.cli import options
from gatewise.cli.compress import DATA, measured_data, print_effect
from gatewise.cli.options import columns, command, option
from gatewise.cli.output import check_ending, check_overwrite, claim, print_json
from gatewise.errors import InputError, quote

_WEB = "Output folder for a web page: the ONNX file, the vocabulary and a JavaScript module that predicts with them."
_QUANTIZE = "Storage type of large matrices, one scale per row; they are float32 again when the file is opened."


@command()
@options.model_option
@option("-o", "--out", metavar="FILE.onnx", help="Output file.")
@option("--web", metavar="DIR", help=_WEB)
@option("--quantize", type=click.Choice(["int8", "float16"]), help=_QUANTIZE)
@options.overwrite_option
@option("--data", metavar="SOURCE", help=DATA)
@options.json_option
@columns("text", "label")
def export(given: Any) -> None:
    """Export a model to ONNX: embedding, LSTM layers, pooling, dense layer, n-grams or convolutions, probabilities.

    ONNX Runtime computes 1,000 random inputs with the new graph first. The file is written only if each logit is equal
    to 1e-5. Texts enter the graph as token ids; a folder of --web reads texts.

    \b
    gatewise export -m models/imdb-fast -o imdb.onnx
    gatewise export --web site/model --quantize int8
    """
    if (given.out is None) == (given.web is None):
        raise InputError("give the output: -o FILE.onnx, or --web DIR")
    if given.data is not None and given.quantize is None:
        raise InputError("--data measures what --quantize changes: give both")
    check_ending("-o", given.out, ".onnx")
    if given.web is None:
        check_overwrite(given.out, given.overwrite)
    else:
        from gatewise.exchange.web import NOUN
        from gatewise.storage.export_folder import check_export

        claim(given.web)
        check_export(given.web, given.overwrite, NOUN)
    model, compression, unchanged = options.open_model(given.model), None, True
    if given.quantize is not None:
        from gatewise.model.compress import compress

        before = model.parameters
        model = compress(model, given.quantize, data=measured_data(given, model))
        unchanged = all((one == model.parameters[name]).all() for name, one in before.items())
        compression = model.metadata.compression
    storage = given.quantize or "float32"
    if given.web is None:
        report = model.export(given.out, "onnx", quantize=storage)
    else:
        report = model.export(given.web, "web", quantize=storage, overwrite=given.overwrite)
    if given.as_json:
        found = {"model": options.model_name(given.model), **asdict(report)}
        print_json(found if compression is None else {**found, "compression": asdict(compression)})
        return
    print(f"inputs: {report.inputs}")
    print(f"largest difference of a logit from ONNX Runtime, {report.checked:,} random inputs: {report.max_error:.1e}")
    if compression is not None and unchanged and not compression.n:
        print(f"the model is stored in {given.quantize} already: no prediction changes")
    elif compression is not None:
        print_effect(compression)
    print(f"saved to {quote(report.path, 200)}: {report.bytes:,} bytes, opset {report.opset}")
