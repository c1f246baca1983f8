"""Recognising bitext: translation memories, catalogues, line-aligned files, tables of pairs."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

from engine.bitext.columns import is_huggingface
from engine.bitext.files import damage_named, members, open_bytes, open_zip, siblings
from engine.bitext.gettext import read_gettext
from engine.bitext.jsonl import read_jsonl
from engine.bitext.pairs import Drops, SentencePair, Unmatched
from engine.bitext.reader import Format, open_bitext
from engine.bitext.tmx import read_tmx
from engine.bitext.xml import parse
from engine.datahome.formats.folders import files_in
from engine.errors import InputError
from engine.extensions.published import PUBLISHED_BITEXT, LanguageFiles, RecognisedData
from engine.languages import language, names_language

_TITLES: dict[Format, str] = {
    "tmx": "a translation memory (TMX)",
    "xliff": "an XLIFF file",
    "gettext": "a gettext catalogue",
    "moses": "line-aligned files (Moses)",
    "tsv": "tab-separated pairs",
    "jsonl": "pairs in JSON Lines",
    "parquet": "a Parquet file of pairs",
    "huggingface": "a saved Hugging Face dataset",
}
_MO = (b"\xde\x12\x04\x95", b"\x95\x04\x12\xde")
_SAMPLE = 200

#: Two languages that no data has side by side: asked for them, a reader names the languages that there are.
_NEITHER = ("tzl", "nov")


def bitext_file(path: Path, code: str | None = None) -> RecognisedData | None:
    """Recognise one file of bitext; `code` names its language where the file does not tell.

    Raises
    ------
    InputError
        If it is bitext and broken, or its languages are not told.
    """
    kind = _format(path)
    if kind is None:
        return None
    files = [path.name]
    if kind == "moses" and path.suffix != ".zip":
        prefix, names = _moses_files(path)
        files = [f"{prefix}.{name}" for name in names]
    sources, target = _languages(path, kind, files, code)
    parts = {source: LanguageFiles(files, files[0], _count(path, kind, source, target), target) for source in sources}
    known = next(
        (
            data.name
            for data in PUBLISHED_BITEXT.values()
            if data.language_of and data.language_of(path.name) and data.has_counts(parts)
        ),
        "",
    )
    packed = " in a zip archive" if zipfile.is_zipfile(path) else ""
    return RecognisedData(f"{_TITLES[kind]}{packed}", "bitext", kind, path.parent, parts, known)


def bitext_folder(folder: Path, code: str | None = None) -> RecognisedData | None:
    """Recognise a folder of bitext: catalogues by locale, a saved dataset, or files of one language each."""
    if is_huggingface(folder):
        names = [file.relative_to(folder).as_posix() for file in files_in(folder)]
        sources, target = _languages(folder, "huggingface", names, code)
        parts = {
            source: LanguageFiles(names, "", _count(folder, "huggingface", source, target), target)
            for source in sources
        }
        return RecognisedData(_TITLES["huggingface"], "bitext", "huggingface", folder, parts)
    files = files_in(folder)
    catalogues = [file for file in files if file.suffix in (".po", ".mo")]
    if catalogues:
        return _catalogues(folder, catalogues, len(files))
    parts, seen = {}, None
    done: set[str] = set()
    known = set()
    for file in files:
        if file.parent != folder or file.name in done:
            continue
        found = bitext_file(file, code)
        if found is None:
            continue
        if seen is not None and found.reader != seen.reader:
            raise InputError(
                f"it holds {seen.format} and {found.format}; import them one by one", path=folder
            )
        seen = found
        known.add(found.known)
        done.update(found.files)
        for source, part in found.languages.items():
            if source in parts:
                raise InputError(
                    f"{parts[source].path} and {part.path} are both in {source!r}; import them one by one",
                    path=folder,
                )
            parts[source] = part
    if seen is None:
        return None
    whole = known.pop() if len(known) == 1 else ""
    return RecognisedData(seen.format, "bitext", seen.reader, folder, parts, whole, left_out=len(files) - len(done))


def _format(path: Path) -> Format | None:
    """Tell a file's format from its first bytes; text without marks is looked at line by line."""
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith(b"PK"):
        with open_zip(path) as archive:
            names = [name.lower() for name in members(archive)]
        if sum(name.endswith(".tmx") for name in names) == 1:
            return "tmx"
        extensions = [name.rpartition(".")[2] for name in names]
        return "moses" if sum(_is_language(name) for name in extensions) >= 2 else None
    if start == b"PAR1":
        return "parquet"
    if start in _MO:
        return "gettext"
    try:
        with damage_named(path), open_bytes(path) as stream:
            head = stream.read(1 << 16)
    except InputError:
        return None
    text = _text(head)
    if text is None:
        return None
    if found := re.search(r"<(tmx|xliff)[\s>]", text[:5000]):
        return "tmx" if found[1] == "tmx" else "xliff"
    if re.search(r'^msgid\s+"', text, re.MULTILINE) and re.search(r'^msgstr(\[0\])?\s+"', text, re.MULTILINE):
        return "gettext"
    lines = [line for line in text.split("\n")[:_SAMPLE] if line.strip()]
    if len(head) == 1 << 16 and len(lines) > 1:
        lines.pop()  # it may be cut
    return _format_of_lines(path, lines)


def _format_of_lines(path: Path, lines: list[str]) -> Format | None:
    if not lines:
        return None
    if lines[0].lstrip().startswith("{"):
        try:
            record = json.loads(lines[0])
        except ValueError:
            return None
        texts = record.get("translation", record)
        if not isinstance(texts, dict):
            return None
        pair = {"source", "target"} <= texts.keys() or {"english", "non_english"} <= texts.keys()
        return "jsonl" if pair or sum(map(_is_language, texts)) >= 2 else None
    widths = {line.count("\t") + 1 for line in lines}
    if widths in ({2}, {3}) and not _are_records(lines):
        return "tsv"
    return "moses" if _moses_files(path)[1] else None


def _are_records(lines: list[str]) -> bool:
    """Tell whether lines are topics or judgements, whose first cell is an id and never a sentence."""
    first = [line.split("\t")[0] for line in lines]
    return all(re.fullmatch(r"[\w.#:-]*\d[\w.#:-]*", cell) for cell in first) and not all(
        re.fullmatch(r"\d+\.\d+", cell)
        for cell in first  # the scores of WikiMatrix
    )


def _moses_files(path: Path) -> tuple[str, list[str]]:
    """Return the prefix of a line-aligned file and the extensions of it, its partner and their scores."""
    bare = path.name.removesuffix(".gz").removesuffix(".xz")
    prefix, _, extension = bare.rpartition(".")
    if not prefix or not _is_language(extension):
        return "", []
    others = {name: name.removesuffix(".gz").removesuffix(".xz") for name in siblings(path.parent / prefix)}
    chosen = [name for name, bare_name in others.items() if _is_language(bare_name) or bare_name == "scores"]
    return (prefix, chosen) if sum(_is_language(others[name]) for name in chosen) == 2 else ("", [])


# -- languages ---------------------------------------------------------------------------------------


def _languages(path: Path, kind: Format, files: list[str], code: str | None) -> tuple[list[str], str]:
    """Return the codes of the source languages, and that of the target, which is English where it can be."""
    tags = list(dict.fromkeys(_TAGS[kind](path, files)))
    codes = list(dict.fromkeys(language(tag).code for tag in tags if _is_language(tag)))
    if code is not None:
        wanted = language(code).code
        if len(codes) >= 2 and wanted not in codes:
            raise InputError(f"it is in {', '.join(codes)} and not in {wanted!r}", path=path)
        target = "en" if "en" in codes or len(codes) < 2 else next(c for c in codes if c != wanted)
        return [wanted], target
    if len(codes) < 2:
        unknown = f" ({', '.join(tags)} names no known language)" if tags and not codes else ""
        raise InputError(
            f"{_TITLES[kind]}, whose languages are not told{unknown}; name one with --language (the other is "
            "English)",
            path=path,
        )
    target = "en" if "en" in codes else codes[0]
    return [one for one in codes if one != target], target


def _memory_tags(path: Path, files: list[str]) -> Iterator[str]:
    return _asked(read_tmx(path, *_NEITHER))


def _object_tags(path: Path, files: list[str]) -> Iterator[str]:
    return _asked(read_jsonl(path, *_NEITHER))


def _asked(units: Iterator[SentencePair | Unmatched]) -> Iterator[str]:
    for unit in units:
        if isinstance(unit, Unmatched):
            yield from unit.languages


def _xliff_tags(path: Path, files: list[str]) -> Iterator[str]:
    with damage_named(path), open_bytes(path) as stream:
        for event, element in parse(stream, path, "xliff"):
            if event == "start":
                for name in ("source-language", "target-language", "srcLang", "trgLang"):
                    if tag := element.get(name):
                        yield tag
            else:
                element.clear()


def _catalogue_tags(path: Path, files: list[str]) -> Iterator[str]:
    import polib

    try:
        entries = polib.mofile(str(path)) if path.suffix == ".mo" else polib.pofile(str(path))
    except (OSError, ValueError, LookupError) as error:
        raise InputError("not a well-formed gettext catalogue", path=path) from error
    parts = path.with_suffix("").parts
    folder = parts[parts.index("LC_MESSAGES") - 1] if "LC_MESSAGES" in parts[1:] else ""
    named = [tag for tag in (entries.metadata.get("Language", ""), folder, path.stem) if _is_language(tag)]
    return iter(["en", *named[:1]])


def _named_tags(path: Path, files: list[str]) -> Iterator[str]:
    """Yield the codes in a file's name: ``WikiMatrix.en-so.tsv.gz``."""
    codes = [part for part in re.split(r"[^A-Za-z]+", path.name) if 2 <= len(part) <= 3]
    pairs = [pair for pair in pairwise(codes) if all(map(_is_language, pair))]
    return iter(pairs[0] if pairs else ())


def _extension_tags(path: Path, files: list[str]) -> Iterator[str]:
    names = files
    if path.suffix == ".zip":
        with open_zip(path) as archive:
            names = members(archive)
    bare = (name.removesuffix(".gz").removesuffix(".xz").rpartition(".")[2] for name in names)
    return (name for name in bare if _is_language(name))


def _column_tags(path: Path, files: list[str]) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.is_dir():
            first = min(path.rglob("*.arrow"))
            with pa.OSFile(str(first)) as file:
                schema = pa.ipc.open_stream(file).schema
        else:
            schema = pq.read_schema(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError("its columns cannot be read; fetch it again", path=path) from error
    for field in schema:
        nested = [inner.name for inner in field.type] if pa.types.is_struct(field.type) else [field.name]
        yield from (name for name in nested if name != "id")


_TAGS: dict[Format, Callable[[Path, list[str]], Iterator[str]]] = {
    "tmx": _memory_tags,
    "xliff": _xliff_tags,
    "gettext": _catalogue_tags,
    "moses": _extension_tags,
    "tsv": _named_tags,
    "jsonl": _object_tags,
    "parquet": _column_tags,
    "huggingface": _column_tags,
}


def _count(path: Path, kind: Format, source: str, target: str) -> dict[str, int]:
    """Count the pairs of two languages by reading them as a run would."""
    drops = Drops()
    for _ in open_bitext(path, format=kind, language=source, target_language=target, drops=drops):
        pass
    return {"pairs": drops.read - drops.wrong_language}


# -- catalogues --------------------------------------------------------------------------------------


def _catalogues(folder: Path, catalogues: list[Path], total: int) -> RecognisedData:
    """Recognise a folder of gettext catalogues, whose languages are those of its locales."""
    by_code: dict[str, list[str]] = {}
    for file in catalogues:
        parts = file.relative_to(folder).with_suffix("").parts
        locale = parts[parts.index("LC_MESSAGES") - 1] if "LC_MESSAGES" in parts[1:] else parts[-1]
        if _is_language(locale) and not names_language(locale, "en"):
            by_code.setdefault(language(locale).code, []).append(file.relative_to(folder).as_posix())
    if not by_code:
        raise InputError(
            "its catalogues do not tell their languages; call them <locale>.po or put them into "
            "<locale>/LC_MESSAGES",
            path=folder,
        )
    parts_of = {
        code: LanguageFiles(names, "", {"pairs": sum(1 for _ in read_gettext(folder, code, "en"))}, "en")
        for code, names in by_code.items()
    }
    used = sum(len(names) for names in by_code.values())
    return RecognisedData(
        "a folder of gettext catalogues", "catalogues", "gettext", folder, parts_of, left_out=total - used
    )


def _text(head: bytes) -> str | None:
    """Return the beginning of a file as text, None if it is none."""
    for encoding in ("utf-8-sig", "utf-16"):
        if encoding == "utf-16" and head[:2] not in (b"\xff\xfe", b"\xfe\xff"):
            return None
        try:
            text = head.decode(encoding)
        except UnicodeDecodeError as error:
            # The head may end inside a character.
            text = head[: error.start].decode(encoding, "ignore") if error.start > len(head) - 4 else ""
        if text and "\0" not in text:
            return text
    return None


def _is_language(tag: str) -> bool:
    try:
        language(tag)
    except InputError:
        return False
    return bool(tag)
