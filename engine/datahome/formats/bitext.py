"""Recognise bitext by its content: translation memories, catalogues, line-aligned files, tables of pairs."""

from __future__ import annotations

import zipfile
from pathlib import Path

from engine.bitext.drops import Drops
from engine.bitext.files import damage_named, files_in, members, open_bytes, open_zip
from engine.bitext.reader import open_bitext
from engine.errors import InputError
from engine.extensions.bitext import BITEXT_FORMATS, BitextFormat, Sample, SentencePair
from engine.extensions.published import PUBLISHED_BITEXT, LanguageFiles, RecognisedData
from engine.languages import Tag, looks_like_language, names_language

#: Bytes and lines at the beginning of a file from which its format is recognised.
_SAMPLE_BYTES, _SAMPLE_LINES = 1 << 16, 200


def bitext_file(path: Path, code: str | None = None) -> RecognisedData | None:
    """Recognise one file of bitext, or return None if it is something else.

    Parameters
    ----------
    path : path
        The file.
    code : str, optional
        Its language, if the file does not name it.

    Raises
    ------
    InputError
        If it is bitext that is damaged or whose languages are unknown.
    """
    form = _format_of(path)
    if form is None:
        return None
    files = list(form.files(path))
    sources, target = _languages(path, form, files, code)
    parts = {
        source: LanguageFiles(files, files[0], _count(path, form, source, target), target)
        for source in sources
    }
    published = (
        data for data in PUBLISHED_BITEXT.values() if data.language_of and data.language_of(path.name)
    )
    known = next((data.name for data in published if data.has_counts(parts)), "")
    packed = " in a zip archive" if zipfile.is_zipfile(path) else ""
    return RecognisedData(f"{form.title}{packed}", "bitext", form.name, path.parent, parts, known)


def bitext_folder(folder: Path, code: str | None = None) -> RecognisedData | None:
    """Recognise a folder of bitext: a saved dataset, catalogues by locale, or files of one language each.

    Parameters
    ----------
    folder : path
        The folder.
    code : str, optional
        Its language, if the files do not name it.

    Raises
    ------
    InputError
        If it is bitext that is damaged or whose languages are unknown, or the files cannot be imported
        together.
    """
    files = files_in(folder)
    names = [file.relative_to(folder).as_posix() for file in files]
    for form in _by_certainty("folder"):
        # Files of formats that are recognised one by one are imported one by one.
        whole = form.folder_files is not None or form.matches is None
        if whole and form.is_folder is not None and form.is_folder(names):
            return _whole_folder(folder, form, names, code)
    return _single_files(folder, files, code)


def _whole_folder(folder: Path, form: BitextFormat, names: list[str], code: str | None) -> RecognisedData:
    if form.folder_files is not None:
        by_code = form.folder_files(folder, names)
        parts = {
            source: LanguageFiles(list(own), "", _count_all(folder, form, source), "en")
            for source, own in by_code.items()
        }
        used = sum(len(own) for own in by_code.values())
        title = f"a folder of {form.title.removeprefix('a ')}s"
        return RecognisedData(title, "catalogues", form.name, folder, parts, left_out=len(names) - used)
    sources, target = _languages(folder, form, names, code)
    parts = {
        source: LanguageFiles(names, "", _count(folder, form, source, target), target) for source in sources
    }
    return RecognisedData(form.title, "bitext", form.name, folder, parts)


def _single_files(folder: Path, files: list[Path], code: str | None) -> RecognisedData | None:
    parts: dict[str, LanguageFiles] = {}
    recognised: RecognisedData | None = None
    done: set[str] = set()
    known = set()
    for file in files:
        if file.parent != folder or file.name in done:
            continue
        found = bitext_file(file, code)
        if found is None:
            continue
        if recognised is not None and found.reader != recognised.reader:
            raise InputError(
                f"it holds {recognised.format} and {found.format}; import them one by one", path=folder
            )
        recognised = found
        known.add(found.known)
        done.update(found.files)
        for source, part in found.languages.items():
            if source in parts:
                raise InputError(
                    f"{parts[source].path} and {part.path} are both in {source!r}; import them one by one",
                    path=folder,
                )
            parts[source] = part
    if recognised is None:
        return None
    whole = known.pop() if len(known) == 1 else ""
    return RecognisedData(
        recognised.format, "bitext", recognised.reader, folder, parts, whole, left_out=len(files) - len(done)
    )


def _by_certainty(kind: str) -> list[BitextFormat]:
    """Return all formats, those that are assumed for a file or folder last."""
    return sorted(BITEXT_FORMATS.values(), key=lambda form: form.assumed_for == kind)


def _format_of(path: Path) -> BitextFormat | None:
    """Return the format of a file, recognised from the members of an archive or its first lines."""
    with path.open("rb") as file:
        head = file.read(4)
    if head.startswith(b"PK"):
        with open_zip(path) as archive:
            names = members(archive)
        archives = (form for form in _by_certainty("file") if form.holds is not None and form.holds(names))
        return next(archives, None)
    sample = _sample(path, head)
    matching = (form for form in _by_certainty("file") if form.matches is not None and form.matches(sample))
    return next(matching, None)


def _sample(path: Path, head: bytes) -> Sample:
    try:
        with damage_named(path), open_bytes(path) as stream:
            start = stream.read(_SAMPLE_BYTES)
    except InputError:
        start = b""
    text = _text(start)
    lines = [line for line in (text or "").split("\n")[:_SAMPLE_LINES] if line.strip()]
    if len(start) == _SAMPLE_BYTES and len(lines) > 1:
        lines.pop()  # it may be cut
    return Sample(path, head, text, tuple(lines))


def _languages(path: Path, form: BitextFormat, files: list[str], code: str | None) -> tuple[list[str], str]:
    """Return the codes of the source languages and of the target language, which is English if possible."""
    tags = list(dict.fromkeys(form.languages(path, files) if form.languages is not None else ()))
    codes = _codes(tags)
    english = next((one for one in codes if names_language(one, "en")), None)
    if code is not None:
        wanted = Tag.parse(code)
        variants = [one for one in codes if names_language(one, code)]
        others = [one for one in codes if one not in variants]
        if len(codes) >= 2 and not variants:
            raise InputError(f"it is in {', '.join(codes)} and not in {wanted.language.code!r}", path=path)
        source = str(wanted) if len(variants) > 1 else wanted.language.code
        return [source], english or (others[0] if len(codes) >= 2 and others else "en")
    if len(codes) < 2:
        unknown = f" ({', '.join(tags)} names no known language)" if tags and not codes else ""
        raise InputError(
            f"{form.title}, whose languages are unknown{unknown}; name one with --language (the other is "
            "English)",
            path=path,
        )
    target = english or codes[0]
    return [one for one in codes if one != target], target


def _codes(tags: list[str]) -> list[str]:
    """Return the languages of tags: by their codes, but by tags (zh-Hant) if a language has several."""
    by_language: dict[str, dict[Tag, None]] = {}
    for word in tags:
        if looks_like_language(word):
            tag = Tag.parse(word)
            by_language.setdefault(tag.language.code, {})[tag] = None
    return [
        name
        for code, variants in by_language.items()
        for name in ([code] if len(variants) == 1 else map(str, variants))
    ]


def _count(path: Path, form: BitextFormat, source: str, target: str) -> dict[str, int]:
    """Count the pairs of two languages by reading them as a run does."""
    drops = Drops()
    for _ in open_bitext(path, format=form.name, language=source, target_language=target, drops=drops):
        pass
    return {"pairs": drops.read - drops.wrong_language}


def _count_all(folder: Path, form: BitextFormat, source: str) -> dict[str, int]:
    """Count the pairs of a language and English before they are cleaned; there may be none."""
    return {"pairs": sum(isinstance(unit, SentencePair) for unit in form.read(folder, source, "en"))}


def _text(head: bytes) -> str | None:
    """Return the beginning of a file as text, or None if it is not text."""
    for encoding in ("utf-8-sig", "utf-16"):
        if encoding == "utf-16" and head[:2] not in (b"\xff\xfe", b"\xfe\xff"):
            return None
        try:
            text = head.decode(encoding)
        except UnicodeDecodeError as error:
            # The last character may be cut.
            text = head[: error.start].decode(encoding, "ignore") if error.start > len(head) - 4 else ""
        if text and "\0" not in text:
            return text
    return None
