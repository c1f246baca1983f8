"""Line-aligned files (Moses): two files whose lines correspond, or a zip archive of OPUS with both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path

from engine.bitext.files import members, open_bytes, open_member, open_zip, parse_score, read_lines, siblings
from engine.errors import InputError
from engine.extensions.bitext import BitextFormat, Sample, SentencePair
from engine.languages import Tag, choose_tag, looks_like_language, names_language

_Lines = dict[str, Iterator[str]]


def read_moses(path: Path, source: str, target: str) -> Iterator[SentencePair]:
    """Yield the line pairs of ``PREFIX.source`` and ``PREFIX.target``; the id of a pair is its line number.

    Parameters
    ----------
    path : Path
        The prefix, one of the two files, or a zip archive that holds both. A file ``PREFIX.scores``, which
        OPUS adds to mined corpora, contains the scores of the pairs. All files may be gzipped (``.gz``).
    source, target : str
        Language codes; the extensions may be any spelling of them (``so``, ``som``).

    Raises
    ------
    InputError
        If a file is missing, ambiguous or not UTF-8, or the files differ in length.
    """
    with ExitStack() as stack:
        lines: _Lines = {}
        if path.suffix == ".zip":
            archive = stack.enter_context(open_zip(path))
            for role, name in _choose(members(archive), path, source, target).items():
                stream = stack.enter_context(open_member(archive, name, path))
                lines[role] = read_lines(stream, f"{path} ({name})")
        else:
            bare = path.with_suffix("") if path.suffix == ".gz" else path
            prefix = bare.with_suffix("") if path.is_file() else path
            files = siblings(prefix)
            for role, name in _choose(list(files), prefix, source, target).items():
                lines[role] = read_lines(stack.enter_context(open_bytes(files[name])), files[name])
        yield from _pairs(lines, path, source, target)


def _choose(names: list[str], path: Path, source: str, target: str) -> dict[str, str]:
    """Return the names of the source file, the target file and the score file, which is optional."""
    roles: dict[str, list[str]] = {"source": [], "target": [], "scores": []}
    extensions: dict[str, str] = {}
    for name in names:
        # With a prefix, the rest of the name is the extension; in an archive, what follows the last dot.
        extension = name.removesuffix(".gz")
        extension = extension.rpartition(".")[2] if path.suffix == ".zip" else extension
        if extension == "scores":
            roles["scores"].append(name)
        else:
            extensions[name] = extension
    for role, language in (("source", source), ("target", target)):
        chosen = choose_tag(language, extensions.values(), path=path)
        if chosen is not None:
            tag = Tag.parse(chosen)
            roles[role] = [name for name, word in extensions.items() if _is_tag(word, tag)]
        if len(roles[role]) != 1:
            found = ", ".join(roles[role] or names[:6]) or "nothing"
            many = f"{len(roles[role])} files" if roles[role] else "no file"
            raise InputError(
                f"{many} with an extension that means {language!r}, where one is needed (found: {found})",
                path=path,
            )
    if len(roles["scores"]) > 1:
        raise InputError(f"there are {len(roles['scores'])} .scores files, where one is expected", path=path)
    return {role: found[0] for role, found in roles.items() if found}


def _is_tag(word: str, tag: Tag) -> bool:
    return names_language(word, tag.language.code) and Tag.parse(word) == tag


def _pairs(lines: _Lines, path: Path, source: str, target: str) -> Iterator[SentencePair]:
    counts = dict.fromkeys(lines, 0)
    for number, row in enumerate(zip_longest(*lines.values()), 1):
        texts = dict(zip(lines, row, strict=True))
        for role, text in texts.items():
            counts[role] += text is not None
        if None in row:
            for role, rest in lines.items():
                counts[role] += sum(1 for _ in rest)
            sizes = ", ".join(f"{role} {count:,}" for role, count in counts.items())
            raise InputError(
                f"the files are not aligned line by line: their numbers of lines differ ({sizes})", path=path
            )
        score = parse_score(texts["scores"], f"{path} (scores)", number) if "scores" in texts else None
        yield SentencePair(texts["source"], texts["target"], source, target, str(number), score)


def _holds(names: Sequence[str]) -> bool:
    return sum(looks_like_language(name.lower().rpartition(".")[2]) for name in names) >= 2


def _matches(sample: Sample) -> bool:
    return bool(sample.lines) and len(_files(sample.path)) > 1


def _files(path: Path) -> tuple[str, ...]:
    """Return the names of a line-aligned file, its partner and their scores; its own name if it has none."""
    prefix, _, extension = _unpacked(path.name).rpartition(".")
    if path.suffix == ".zip" or not prefix or not looks_like_language(extension):
        return (path.name,)
    found = {name: _unpacked(name) for name in siblings(path.parent / prefix)}
    texts = [name for name, bare in found.items() if looks_like_language(bare)]
    if len(texts) != 2:
        return (path.name,)
    return tuple(f"{prefix}.{name}" for name, bare in found.items() if name in texts or bare == "scores")


def _languages(path: Path, names: Sequence[str]) -> Iterator[str]:
    if path.suffix == ".zip":
        with open_zip(path) as archive:
            names = members(archive)
    return (_unpacked(name).rpartition(".")[2] for name in names)


def _unpacked(name: str) -> str:
    return name.removesuffix(".gz").removesuffix(".xz")


MOSES = BitextFormat(
    name="moses",
    meaning="two files whose lines correspond (PREFIX.so and PREFIX.en), or a zip archive of them",
    title="line-aligned files (Moses)",
    read=read_moses,
    holds=_holds,
    assumed_for="file",
    matches=_matches,
    languages=_languages,
    files=_files,
)
