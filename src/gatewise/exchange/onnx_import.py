"""The files of a model folder from an ONNX file that `gatewise.exchange.onnx_export` wrote, for `gw.from_onnx`."""

from pathlib import Path
from typing import Any

from gatewise.errors import InputError, ModelFileError, quote
from gatewise.members.member import kind_named
from gatewise.members.onnx.graph import array_of
from gatewise.storage.folder import CONFIG, Folder
from gatewise.storage.strict_json import json_bytes, parse_json
from gatewise.types import Array


def own_folder(file: Any, path: str | Path) -> Folder | None:
    """The folder of the model in a ModelProto, read from `path`; None for one of another exporter. Members of weight 0
    are not in the file. Raises ModelFileError for a damaged file, InputError where the LSTM has weight 0.
    """
    where = quote(path, 200)
    files = {one.key: one.value.encode() for one in file.metadata_props if one.key.endswith(".json")}
    if file.producer_name != "gatewise" or CONFIG not in files:
        return None
    constants: dict[str, dict[str, Array]] = {}
    for tensor in file.graph.initializer:
        owner, dot, name = tensor.name.partition(".")
        if dot:
            constants.setdefault(owner, {})[name] = array_of(tensor, where)
    try:
        config: Any = parse_json(files[CONFIG], CONFIG)
        entries, config["members"] = config["members"], []
        for entry in entries:
            kind, file_name, weight = (entry.pop(name) for name in ("kind", "file", "weight"))
            if not weight and kind == "lstm":
                raise InputError(
                    f"{where}: the LSTM has weight 0 and is not in the file: load the model folder instead"
                )
            if weight:
                kept = constants.get(file_name.removesuffix(".safetensors"), {})
                entry, files[file_name] = kind_named(kind).file_of_onnx(entry, kept)
                config["members"].append({"kind": kind, "file": file_name, "weight": weight, **entry})
    except (InputError, ModelFileError):
        raise
    except KeyError as error:
        raise ModelFileError(f"{where}: it has no tensor or entry {error}; quantized files are not read") from error
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ModelFileError(f"{where}: the parts of the model do not fit together: {quote(error)}") from error
    return Folder(Path(path), {**files, CONFIG: json_bytes(config)}, "")
