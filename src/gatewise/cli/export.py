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
def export(args: Any) -> None:
    """Export a model to ONNX: embedding, LSTM layers, pooling, dense layer, n-grams or convolutions, probabilities.

    ONNX Runtime computes 1,000 random inputs with the new graph first. The file is written only if each logit is equal
    to 1e-5. Texts enter the graph as token ids; a folder of --web reads texts.

    \b
    gatewise export -m models/imdb-fast -o imdb.onnx
    gatewise export --web site/model --quantize int8
    """
    if (args.out is None) == (args.web is None):
        raise InputError("give the output: -o FILE.onnx, or --web DIR")
    if args.data is not None and args.quantize is None:
        raise InputError("--data measures what --quantize changes: give both")
    check_ending("-o", args.out, ".onnx")
    if args.web is None:
        check_overwrite(args.out, args.overwrite)
    else:
        from gatewise.exchange.web import NOUN
        from gatewise.storage.export_folder import check_export

        claim(args.web)
        check_export(args.web, args.overwrite, NOUN)
    model = options.open_model(args.model)
    compression = None
    unchanged = True
    storage = "float32"
    if args.quantize is not None:
        from gatewise.model.compress import compress

        storage = args.quantize
        before = model.parameters
        model = compress(model, storage, data=measured_data(args, model))
        unchanged = all((array == model.parameters[name]).all() for name, array in before.items())
        compression = model.metadata.compression
    if args.web is None:
        report = model.export(args.out, "onnx", quantize=storage)
    else:
        report = model.export(args.web, "web", quantize=storage, overwrite=args.overwrite)
    if args.as_json:
        result = {"model": options.model_name(args.model), **asdict(report)}
        if compression is not None:
            result["compression"] = asdict(compression)
        print_json(result)
        return
    print(f"inputs: {report.inputs}")
    print(f"largest difference of a logit from ONNX Runtime, {report.checked:,} random inputs: {report.max_error:.1e}")
    if compression is not None and unchanged and not compression.n:
        print(f"the model is stored in {args.quantize} already: no prediction changes")
    elif compression is not None:
        print_effect(compression)
    print(f"saved to {quote(report.path, 200)}: {report.bytes:,} bytes, opset {report.opset}")
