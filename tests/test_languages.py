"""The language table against ISO 639 (pycountry), published lists and Django's locales."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pycountry
import pytest

from engine.collections.lareqa import XQUAD_R_SENTENCES
from engine.collections.tatoeba import LANGUAGE_SETS
from engine.errors import InputError
from engine.languages import (
    LANGUAGES,
    language,
    names_language,
    names_other_language,
    same_language,
)

# Where our English name is not ISO 639's, but Unicode CLDR's or the benchmarks'.
OUR_NAMES = {
    "el": "Modern Greek",
    "ht": "Haitian",
    "ky": "Kirghiz",
    "nso": "Pedi",
    "ny": "Chichewa",
    "or": "Oriya",
    "pa": "Panjabi",
    "pam": "Pampanga",
    "pms": "Piemontese",
    "ps": "Pushto",
    "ug": "Uighur",
    "yue": "Yue Chinese",
}
NOT_IN_PYCOUNTRY = {"ber", "kzj"}  # ISO 639-5, and withdrawn by ISO in 2016
WITHDRAWN_ALIASES = {"in", "iw", "ji", "jw", "mo", "mol"}  # from ISO 639-1 and -3, still met in locale names

XLMR = """Afrikaans Albanian Amharic Arabic Armenian Assamese Azerbaijani Basque Belarusian Bengali Bosnian
Breton Bulgarian Burmese Catalan Chinese Croatian Czech Danish Dutch English Esperanto Estonian Filipino
Finnish French Galician Georgian German Greek Gujarati Hausa Hebrew Hindi Hungarian Icelandic Indonesian
Irish Italian Japanese Javanese Kannada Kazakh Khmer Korean Kurdish Kyrgyz Lao Latin Latvian Lithuanian
Macedonian Malagasy Malay Malayalam Marathi Mongolian Nepali Norwegian Oriya Oromo Pashto Persian Polish
Portuguese Punjabi Romanian Russian Sanskrit Scottish_Gaelic Serbian Sindhi Sinhala Slovak Slovenian Somali
Spanish Sundanese Swahili Swedish Tamil Telugu Thai Turkish Ukrainian Urdu Uyghur Uzbek Vietnamese Welsh
Western_Frisian Xhosa Yiddish""".split()  # noqa: SIM905

XTREME_R = (
    "af ar az bg bn de el en es et eu fa fi fr gu he hi ht hu id it ja jv ka kk ko lt ml mr ms my nl pa pl "
    "pt qu ro ru sw ta te th tl tr uk ur vi wo yo zh"
)
AFRICLIRMATRIX = "afr amh arz ary hau ibo nso sna som swa tir twi wol yor zul"
TICO_19 = (
    "am ar bn ckb din es-LA fa fr fuv ha hi id km kr ku lg ln mr ms my ne nus om prs ps pt-BR ru rw so sw "
    "swc ta ti tl ur zh zu"
)


def test_codes_and_names_are_those_of_iso_639() -> None:
    for entry in LANGUAGES:
        if entry.code3 in NOT_IN_PYCOUNTRY:
            continue
        iso = pycountry.languages.get(alpha_3=entry.code3)
        assert iso is not None, entry
        assert entry.code == getattr(iso, "alpha_2", iso.alpha_3)
        names = {iso.name, getattr(iso, "common_name", iso.name)}
        bare = {re.sub(r" \(.*\)", "", name) for name in names}
        assert OUR_NAMES.get(entry.code, entry.name) in bare, entry
    assert pycountry.language_families.get(alpha_3="ber").name == language("ber").name


def test_aliases_are_iso_639_and_scripts_iso_15924() -> None:
    aliases = {alias for entry in LANGUAGES for alias in entry.aliases}
    unknown = {
        alias
        for alias in aliases
        if not any(
            pycountry.languages.get(**{field: alias}) for field in ("alpha_2", "alpha_3", "bibliographic")
        )
    }
    assert unknown == WITHDRAWN_ALIASES
    assert all(pycountry.scripts.get(alpha_4=entry.script) for entry in LANGUAGES)


def test_every_bibliographic_code_is_understood() -> None:
    for iso in pycountry.languages:
        if hasattr(iso, "bibliographic"):
            assert language(iso.bibliographic) == language(iso.alpha_3)


def test_no_spelling_names_two_languages() -> None:
    for entry in LANGUAGES:
        for spelling in (entry.code, entry.code3, entry.name, *entry.aliases):
            assert language(spelling) is entry


def test_the_table_is_sorted_by_code_without_repeats() -> None:
    codes = [entry.code for entry in LANGUAGES]
    assert codes == sorted(set(codes))


def test_xlmr_languages_are_those_of_its_published_list() -> None:
    renamed = {"Filipino": "fil", "Norwegian": "no", "Oriya": "or"}
    published = {language(renamed.get(name, name.replace("_", " "))).code for name in XLMR}
    assert len(XLMR) == 93  # 100 less Zawgyi, traditional Chinese and five romanised variants
    assert {entry.code for entry in LANGUAGES if entry.xlmr} == published


def test_xtreme_lists_have_the_published_sizes_and_members() -> None:
    xtreme, xtreme_r = LANGUAGE_SETS["xtreme"], LANGUAGE_SETS["xtreme-r"]
    assert (len(xtreme), len(xtreme_r), len(XQUAD_R_SENTENCES)) == (36, 41, 11)
    assert set(xtreme_r) - set(xtreme) == {"az", "lt", "pl", "uk", "ro"}
    assert len(XTREME_R.split()) == 50
    assert set(xtreme_r) | set(XQUAD_R_SENTENCES) <= set(XTREME_R.split())
    assert all(language(code).tatoeba for code in xtreme_r)


@pytest.mark.parametrize("benchmark", [XTREME_R, AFRICLIRMATRIX, TICO_19])
def test_benchmarks_languages_are_known(benchmark: str) -> None:
    assert len({language(code) for code in benchmark.split()}) == len(benchmark.split())


def test_every_locale_of_django_is_known() -> None:
    spec = importlib.util.find_spec("django")
    assert spec is not None and spec.origin is not None
    folders = Path(spec.origin).parent.joinpath("conf", "locale").iterdir()
    locales = [folder.name for folder in folders if folder.joinpath("LC_MESSAGES").is_dir()]
    assert len(locales) > 90
    assert all(language(locale).code == re.split("[_-]", locale)[0] for locale in locales)


@pytest.mark.data
def test_tatoeba_codes_are_those_of_its_files(data_home: Path) -> None:
    files = {
        path.name.split(".")[1].split("-")[0] for path in data_home.joinpath("tatoeba").glob("tatoeba.*")
    }
    assert len(files) == 112
    assert {entry.tatoeba for entry in LANGUAGES if entry.tatoeba} == files
    assert all(language(code).tatoeba == code for code in files)


@pytest.mark.parametrize(
    ("resource_class", "names"),
    [
        (1, ["Bhojpuri"]),
        (2, ["Zulu", "Lao", "Maltese", "Irish"]),
        (3, ["Indonesian", "Ukrainian", "Cebuano", "Afrikaans", "Hebrew"]),
        (4, ["Russian", "Hungarian", "Vietnamese", "Dutch", "Korean"]),
        (5, ["English", "Spanish", "German", "Japanese", "French"]),
    ],
)
def test_resource_classes_of_the_papers_examples(resource_class: int, names: list[str]) -> None:
    """Examples of Joshi et al. 2020, Table 1."""
    assert {language(name).resource_class for name in names} == {resource_class}


def test_resource_levels_follow_the_classes() -> None:
    levels = {(entry.resource_class, entry.resource) for entry in LANGUAGES}
    assert levels == {
        (None, None), (0, "low"), (1, "low"), (2, "low"), (3, "medium"), (4, "high"), (5, "high")
    }  # fmt: skip


@pytest.mark.parametrize(
    ("spelling", "code"),
    [
        ("sw", "sw"), ("SWA", "sw"), ("swh", "sw"), ("Swahili", "sw"), ("sw_KE", "sw"), ("ger", "de"),
        ("pt-BR", "pt"), ("es-LA", "es"), ("es-419", "es"), ("sr-Latn", "sr"), ("sr@latin", "sr"),
        ("sr_RS.UTF-8@latin", "sr"), ("zh_Hans", "zh"), ("zh-Hant-TW", "zh"), ("ca-valencia", "ca"),
        ("fil", "tl"), ("iw", "he"), ("no", "nb"), ("nor", "nb"), ("nb_NO", "nb"), ("nn", "nn"),
        ("cmn", "zh"), ("mo", "ro"), ("pes", "fa"), ("prs", "prs"), (" en ", "en"), ("scottish gaelic", "gd"),
    ],
)  # fmt: skip
def test_spellings(spelling: str, code: str) -> None:
    assert language(spelling).code == code


def test_same_language_ignores_standard_script_and_region() -> None:
    assert same_language("zh_Hans", "cmn") and same_language("pt", "pt-BR")
    assert not same_language("nb", "nn") and not same_language("ar", "arz") and not same_language("zh", "yue")


@pytest.mark.parametrize(
    ("spelling", "sentence"),
    [
        ("som1", r"unknown language code 'som1' \(did you mean 'som'\?\)"),
        ("Swahilli", r"did you mean 'swahili'\?"),
        ("zh-yue", r"unknown language code 'zh-yue' \(did you mean 'yue'\?\)"),
        ("", r"unknown language code ''$"),
        ("klingon-x", r"unknown language code"),
    ],
)
def test_unknown_codes_are_refused_with_the_nearest(spelling: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        language(spelling)


def test_tags_of_no_language_name_none() -> None:
    assert names_language("som", "so")
    assert not names_language("README", "so") and not names_other_language("README", "so")
    assert not names_language("fr", "so") and names_other_language("fr", "so")
