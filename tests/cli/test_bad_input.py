"""Whatever is wrong with what was given: one line on stderr, exit code 2, nothing on stdout, nothing written."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run


def refused(run: Run, *words: object, input: str | bytes | None = None) -> str:
    result = run(*words, input=input)
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("gatewise: ")
    assert all(ch.isprintable() for ch in lines[0])
    return lines[0]


CSV = "{csv} --text review --label sentiment"
TO_FOLDER = "predict -m {keras} -i {csv} --text review -o {tmp}/out/"
FORECAST = "forecast none.csv --time month --target passengers"
# A command, with the names of `places` in braces, and its message.
REFUSED = [
    ("predict -m {keras} ''", "empty"),
    ("explain -m {keras} ' \n\t'", "empty"),
    ("predict -m {keras} good\ud800", "lone surrogate U+D800 at character 4"),
    # commands
    ("predikt", "No such command 'predikt'."),
    ("predikt x", "--help"),
    ("train", "--help"),
    ("predict -m m x --fast", "--help"),
    # models
    ("predict -m {tmp}/missing x", "missing"),
    ("info -m {tmp}/missing", "missing"),
    ("explain -m {csv} good", "is a file, not a model folder"),
    ("evaluate -m {tmp} imdb", "manifest.json is missing"),
    ("compress -m {tmp}/none -o {tmp}/out", "cannot open the model folder"),
    # texts and series
    ("explain -m {series} 'a text'", "the model reads series: give a file with -i"),
    ("predict -m {keras} -i {file}", "the model reads texts, not series"),
    ("explain -m {series} -i {file} --row 5", "--row must be from 0 to 4, not 5"),
    ("predict -m {series} -i missing.csv", "gatewise: 'missing.csv': not found"),
    ("predict -m {series} -i -", "gatewise: series cannot be read from stdin: give a file"),
    ("train - --series", "gatewise: series cannot be read from stdin: give a file"),
    ("explain -m {tokens} 'a text' --row 2", "--row is the number of a row in a file: give a file with -i"),
    ("explain -m {tokens} 'a text' --text x", "--text is for files: give a file with -i"),
    ("predict -m {keras} 'A good film.' --time x", "--time is for files: give a file with -i"),
    ("predict -m {keras} -i - --label x", "--label is for series, and the model reads texts"),
    ("predict -m {series} -i {file} --text x", "--text is for texts, and the model reads series"),
    ("predict -m {keras} -i {lines} --layout time-first", "--layout is for series"),
    ("predict -m {keras} -i {lines} --time x", "--time is for series"),
    ("predict -m {keras} -i {lines} --probabilities top", "--probabilities is for an output: give -o"),
    # a word that is a file, or may be one
    ("predict -m {keras} {lines}", "lines.txt' is a file, not a text: give it with -i"),
    ("explain -m {keras} {tmp}", "is a folder, not a text: give a model with -m, files with -i"),
    ("export-page good - -o {tmp}/out", "'-' is stdin, not a text: give it with -i"),
    ("predict good in/Part-1.csv.gz", "'in/Part-1.csv.gz' is the name of a file that does not exist"),
    # too little or too much
    ("predict", "give texts, or files with -i (-i - for stdin)"),
    ("predict -m {keras} x -i {tmp}/y", "'x' is a text: give texts, or files with -i, not both"),
    ("explain -m {keras} good end", "'end': give one text, or --compare TEXT"),
    ("explain -m {keras} x --tutorial-review --data embedded", "give one text"),
    ("explain -m {keras} x --data embedded", "--data cannot be combined with a text"),
    ("export-page -m {keras} good ' ' -o {tmp}/out", "text 2 is empty"),
    (f"export-page -m {{keras}} {'good ' * 101} -o {{tmp}}/out", "at most 100 texts or series, not 101"),
    # data
    ("train imbd", "'imbd': neither imdb nor a file"),
    ("predict -m {keras} ''", "the text is empty"),
    ("predict -m {keras} -i {tmp}", "a folder, and files are read: name them, for example '"),
    ("train {tmp}/x.csv --epochs -1", "--epochs: optimisation.epochs must be at least 0, not -1"),
    ("serve names", "Got unexpected extra argument (names); a model is given with -m. See gatewise serve --help"),
    ("evaluate -m {keras} imdb -o {tmp}/out.csv", "-o is for the rows of files, and not for imdb, stdin or a folder"),
    ("evaluate -m {keras} - -o {tmp}/out.csv", "-o is for the rows of files"),
    ("compress -m {keras} -o {tmp}/out --data imbd", "neither imdb nor a file"),
    ("train {tmp}/none.csv", "not found"),
    ("train {tmp}/none.csv --data x", "--data is only for the source imdb"),
    ("data imdb --data {tmp}/none.tar.gz", "none.tar.gz"),
    ("train imdb --label sentiment", "--label is for tables, and 'imdb' has no columns"),
    ("evaluate -m {keras} imdb --delimiter ;", "--delimiter is for tables, and 'imdb' has no columns"),
    ("train {tmp} --group shop --validation {tmp}", "--group is for tables, and"),
    ("evaluate -m {keras} {csv} --text review --label sentiment", "has no class 'bad'"),
    ("train {csv} -o {tmp}/out", "no column 'text'; there are 'sentiment', 'review'"),
    # options
    (f"train {CSV} --recipe slow", "no recipe is called 'slow'; there are finetune, be"),
    (f"train {CSV} --set gate=soft", "gate must be 'sigmoid' or 'binary', not 'soft'"),
    (f"train {CSV} --epochs 0", "epochs must be at least 1"),
    ("compress -m {keras} -o {tmp}/out --storage int4", "storage must be float32, float16 or int8, not 'int4'"),
    ("compress -m {keras} -o {tmp}/out --vocab-size 3", "vocab_size must be 5 to 15"),
    ("compress -m {tokens} -o {tmp}/out --vocab-size 1000000", "vocab_size must be 3 to"),
    ("export -m {keras} -o {tmp}/model.pt", "the name must end in .onnx"),
    ("explain -m {keras} good --method magic", "no method is called 'magic'; there are prefix-difference, cell"),
    ("explain -m {keras} good --unit 6", "unit must be from 0 to 5, not 6"),
    ("explain -m {tokens} 'a text' --against q", "there is no class 'q'; the classes are"),
    ("explain -m {keras} 'a text' --target positive --against positive", "are the same: 'positive'"),
    ("explain -m {keras} good --clamp forget=2", "forget must lie in [0, 1]; got 2"),
    ("explain -m {keras} good --clamp gate=1", "--clamp must be [UNIT:]GATE=VALUE"),
    ("explain -m {keras} good --clamp forget=much", "'much' is not a number"),
    ("explain -m {keras} good --clamp forget=nan", "forget must lie in [0, 1]; got nan"),
    ("explain -m {keras} good --clamp 9:forget=1", "unit must be from 0 to 5, not 9"),
    ("explain -m {keras} good --clamp f=1@5-3", "steps count from 1 and must be in order"),
    ("explain -m {keras} good --clamp f=1@3-99", "must be from 1 to 2"),
    ("explain -m {keras} good --layer 1", "--layer and --direction apply only to --clamp, --ablate and --hold-memory"),
    ("explain -m {keras} good --clamp f=1 --layer 0", "Invalid value for '--layer': 0 is not in the range x>=1"),
    ("explain -m {keras} good --clamp f=1 --direction up", "'up' is not one of 'forward', 'backward'"),
    ("explain -m {keras} good --clamp f=1 --direction backward", "must be forward in this network, not 'backward'"),
    ("explain -m {keras} good --ablate x", "--ablate must be unit numbers such as 3 or 3,17, not 'x'"),
    ("explain -m {keras} good --hold-memory 1,", "--hold-memory must be unit numbers"),
    ("explain -m {keras} good --replace good", "--replace must be OLD=NEW or STEP=NEW, not 'good'"),
    ("explain -m {keras} good --replace gone=x", "'gone' is not among the words that the network reads"),
    ("explain -m {keras} good --replace 40=x", "there is no step 40: the network reads 2 steps"),
    ("explain -m {keras} good --baseline zeor", "a baseline is unknown, pad, zero, mean, not 'zeor'"),
    ("explain -m {keras} good --method cell-decomposition --baseline pad", "a baseline is for integrated-gradients"),
    ("explain -m {keras} good --compare x --clamp f=1", "--compare needs texts, without --clamp"),
    ("explain -m {keras} good --svg {tmp}/none/x.svg", "x.svg': no such file or directory; nothing was changed"),
    ("explain -m {keras} good --html {tmp}/none/x.html", "x.html': no such file or directory; nothing was changed"),
    ("explain -m {keras} good --html", "Option '--html' requires an argument. See gatewise explain --help"),
    ("info -m some/model --recipe fast", "gatewise: give either --recipe or --model, not both"),
    ("info --recipe fats", "did you mean 'fast'?"),
    # places that take no file
    ("compress -m {keras} -o /proc/x", "/proc"),
    ("compress -m {keras} -o /dev/full", "/dev/full"),
    ("export -m {keras} -o /proc/x.onnx", "/proc"),
    (f"train {CSV} --epochs 1 -o /proc/x", "/proc"),
    (f"train {CSV} --epochs 1 -o /dev/full", "/dev/full"),
    # settings of training, which stop it before the data is read
    ("train none.csv --set unit=3", "--set: a recipe has no 'unit'; did you mean 'units'?"),
    ("train none.csv --set units", "--set 'units': write --set FIELD=VALUE"),
    ("train none.csv --set epochs=2.5", "--set: optimisation.epochs must be a whole number, not '2.5'"),
    ("train none.csv --set epochs=2 --epochs 3", "--set optimisation.epochs: the field is set twice"),
    ("train none.csv --set layers=2 --set lstm.layers=1", "--set lstm.layers: the field is set twice"),
    ("train none.csv --seed -1", "seed must be from 0 to 2^63 - 1, or None"),
    ("train none.csv --recipe tutorail", "did you mean 'tutorial'?"),
    ("train none.csv --config none.toml", "'none.toml': cannot be read"),
    ("train none.csv --threshold 2", "--threshold must be f1 or a probability from 0 to 1, not '2'"),
    ("train none.csv --threshold half", "--threshold must be f1 or a probability from 0 to 1, not 'half'"),
    ("train none.csv --class-weight a=-1", "--class-weight 'a=-1': the weight must be finite and above 0"),
    ("train none.csv --class-weight good", "write balanced, or CLASS=WEIGHT"),
    ("train none.csv --class-weight good=x", "write balanced, or CLASS=WEIGHT"),
    ("explain -m {tokens} good\ud800", "lone surrogate U+D800 at character 4"),
    ("train none.csv --pretrained {keras} --set layers=2", "has lstm.layers 1; it cannot start a network"),
    ("train none.csv --pretrained {keras} --set units=9", "the pretrained model has lstm.units 6"),
    ("train none.csv --pretrained nowhere", "nowhere"),
    (f"train {CSV} --class-weight other=2", "no class 'other'"),
    (f"train {CSV} --validation none.csv", "none.csv"),
    (f"train {CSV} --validation {{csv}} --group sentiment", "groups has no effect with validation"),
    (f"train {CSV} --unlabelled {{lines}}", "does not use unlabelled texts; finetune, best, few-shot do, with rules"),
    (f"train {CSV} --rules {{csv}}", "rules label unlabelled texts, and there are none"),
    (f"train {CSV} --unlabelled {{lines}} --rules none.csv", "none.csv': not found"),
    (f"train {CSV} --unlabelled {{lines}} --rules {{csv}}", "no column 'pattern'; there are"),
    (f"train {CSV} --group sentiment --set validation.split=row", "groups are for a split by group, and this one is"),
    (f"tune {CSV} --group sentiment --set validation.split=row", "groups are for a split by group, and this one is"),
    (f"tune {CSV} --trials 1 --search units=0,4", "search: lstm.units must be at least 1"),
    (f"train {CSV} -o {{tmp}}", "contains files and is not a gatewise model"),
    ("compress -m {keras} -o {tmp}", "contains files and is not a gatewise model"),
    ("compress -m {keras} -o {keras}", "exists already; --overwrite replaces it"),
    ("export-page -m {keras} good -o {lines} --overwrite", "exists and is not a folder"),
    ("export-page -m {keras} good -o {tmp} --overwrite", "contains files and is not an exported page"),
    (f"tune {CSV} --trials 1 -o {{tmp}}", "contains files and is not a gatewise model"),
    (f"tune {CSV} --trials 1 --storage {{tmp}}", "is not a file of trials"),
    ("pretrain nowhere.txt", "nowhere.txt': not found"),
    ("pretrain {lines} --minutes 1 --epochs 1", "either minutes or epochs, not both"),
    ("pretrain {lines} --size huge", "no size is called 'huge'"),
    ("pretrain {lines} --data x", "--data is for the source imdb"),
    ("pretrain {csv} --text nothing", "no column 'nothing'"),
    ("pretrain {lines} -o {lines}", "is not a folder"),
    # columns and tasks
    (f"train {CSV} --task rank", "task must be 'classification', 'multilabel', 'regression' or 'tagging', not 'rank'"),
    (f"train {CSV} --id who", "--id is for series"),
    (f"train {CSV} --delimiter ::", "the delimiter must be one character"),
    (f"train {CSV} --group what", "no column 'what'"),
    (f"train {CSV} --series", "--text is for texts, and these are series"),
    # forecasts, before anything is read or fitted
    (f"{FORECAST} --level 100", "Invalid value for '--level': 100.0 is not in the range 0<x<100"),
    (f"{FORECAST} -o out.xlsx", "must end in one of .csv"),
    ("forecast {csv} --time month --target passengers -o {csv}", "the output is the input"),
    (f"{FORECAST} -o none/out.csv", "'none': not a folder"),
    (f"{FORECAST} -o {{csv}}", "exists already; --overwrite replaces it"),
    (f"{FORECAST} -o folder.csv --overwrite", "'folder.csv': is a folder"),
    (f"{FORECAST} --save {{keras}}", "exists already; --overwrite replaces it"),
    (f"{FORECAST} --save {{tmp}}", "contains files and is not a gatewise model; it was not changed"),
    (f"{FORECAST} --save {{tmp}} --overwrite", "contains files and is not a gatewise model; it was not changed"),
    (f"{FORECAST} --save {{csv}} --overwrite", "exists and is not a folder; it was not changed"),
    (f"{FORECAST} -o {{csv}} --save {{keras}} --overwrite", "'none.csv': not found"),
    ("forecast {csv} --time sentiment --target passengers", "no column 'passengers'"),
    # an output folder of predictions, and Ray
    (f"{TO_FOLDER} --part 0/3", "--part must be like 3/16"),
    (f"{TO_FOLDER} --format xlsx", "--format must be one of csv, tsv"),
    (f"{TO_FOLDER} --overwrite --part 1/2", "--overwrite would remove the files of other parts"),
    (f"{TO_FOLDER} -o no/such/folder/", "'no/such': not a folder"),
    (f"{TO_FOLDER} -o {{lines}}/", "exists, and is not a folder"),
    (f"{TO_FOLDER} -o out.csv --rows-per-file 9", "--rows-per-file is for an output folder: give -o FOLDER/"),
    (f"{TO_FOLDER} -o out.xlsx", "must end in one of .csv"),
    (f"{TO_FOLDER} -o nowhere/out.csv", "'nowhere': not a folder"),
    (f"{TO_FOLDER} -o a.jsonl", "'a.jsonl': exists already; --overwrite replaces it"),
    (f"{TO_FOLDER} -o {{csv}} --overwrite", "the output is the input"),
    (f"{TO_FOLDER} --workers 2", "--workers is for Ray"),
    (f"{TO_FOLDER} --ray local --part 1/2", "--part is not for --ray"),
    (f"{TO_FOLDER} --ray local --format csv", "--format is not for --ray, which writes the whole as Parquet"),
    (f"{TO_FOLDER} --ray local --skip-bad-rows bad.csv", "--skip-bad-rows is not for --ray"),
    (f"{TO_FOLDER} --ray local --keep m", "no column 'm'"),
    (f"{TO_FOLDER} --ray local -i {{tmp}}/a.jsonl", "with --ray, all inputs are .parquet"),
    (f"{TO_FOLDER} --ray local -o a.jsonl", "give -o FOLDER/"),
    ("predict -m {series} -i {file} -o {tmp}/out/ --ray local", "--ray is for texts"),
    ("predict -m {keras} -i {csv} --text review --keep sentiment", "--keep is for an output"),
    ("predict good -o out.csv", "-o is for files: give them with -i"),
]


@pytest.fixture
def places(
    keras_folder: Path, tokens_folder: Path, series_folder: Path, series_file: Path, reviews_csv: Path
) -> Iterator[dict[str, Path]]:
    home = reviews_csv.parent
    (home / "lines.txt").write_text("A good film.\n")
    (home / "a.jsonl").write_text('{"review": "x"}')
    (home / "folder.csv").mkdir()
    models = {"keras": keras_folder, "tokens": tokens_folder, "series": series_folder}
    with contextlib.chdir(home):
        yield {**models, "file": series_file, "csv": reviews_csv, "lines": home / "lines.txt", "tmp": home}


def contents(folder: Path) -> dict[Path, bytes]:
    """All that is below the folder; of a folder, nothing."""
    return {path: path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


@pytest.mark.parametrize(("command", "message"), REFUSED, ids=[f"{n}-{c[:50]}" for n, (c, _) in enumerate(REFUSED)])
def test_one_line_and_nothing_written(run: Run, places: dict[str, Path], command: str, message: str) -> None:
    before = contents(places["tmp"])
    assert message in refused(run, *(word.format(**places) for word in shlex.split(command)))
    assert contents(places["tmp"]) == before


def test_stdin(run: Run, keras_folder: Path, tokens_folder: Path) -> None:
    result = run("predict", "-m", keras_folder, "-i", "-", input="one\n\nthree\n")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 2)
    assert "stdin: contains no text" in refused(run, "predict", "-m", keras_folder, "-i", "-", input="\n\n")
    assert "stdin:1: not valid UTF-8: byte 0xFF" in refused(
        run, "explain", "-m", keras_folder, "-i", "-", input=b"goo\xff"
    )
    line = refused(run, "predict", "-m", tokens_folder, "-i", "-", input="x" * 10_000_000)
    assert "10,000,000 characters; the limit is 1,000,000" in line
    result = run("predict", "-m", keras_folder, "-i", "-", input="x" * 10_000_000)
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 1), "a long word is a word"


def test_an_unknown_kernel(run: Run, keras_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWISE_KERNEL", "cuda")
    line = refused(run, "predict", "-m", keras_folder, "good")
    assert "unknown kernel 'cuda'; the kernels are bf16, native, reference" in line
