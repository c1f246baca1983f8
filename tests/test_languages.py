"""Languages and tags against ISO 639 (pycountry), published lists and Django's locales."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pycountry
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.collections.lareqa import XQUAD_R_SENTENCES
from engine.collections.tatoeba import LANGUAGE_SETS
from engine.errors import InputError
from engine.languages import (
    LANGUAGES,
    Tag,
    TagChooser,
    choose_tag,
    known_code,
    language,
    language_name,
    looks_like_language,
    lookup,
    names_language,
    names_other_language,
    same_language,
)

# Code, ISO 639-3 code, name, script and further codes of the languages in results databases, written down
# before codes, names and scripts came from libraries. They were checked against ISO 639 and ISO 15924.
KNOWN = """
af|afr|Afrikaans|Latn|
am|amh|Amharic|Ethi|
ang|ang|Old English|Latn|
ar|ara|Arabic|Arab|arb
arq|arq|Algerian Arabic|Arab|
ary|ary|Moroccan Arabic|Arab|
arz|arz|Egyptian Arabic|Arab|
as|asm|Assamese|Beng|
ast|ast|Asturian|Latn|
awa|awa|Awadhi|Deva|
ay|aym|Aymara|Latn|
az|aze|Azerbaijani|Latn|azj
ba|bak|Bashkir|Cyrl|
be|bel|Belarusian|Cyrl|
ber|ber|Berber languages|Latn|
bg|bul|Bulgarian|Cyrl|
bho|bho|Bhojpuri|Deva|
bm|bam|Bambara|Latn|
bn|ben|Bengali|Beng|
bo|bod|Tibetan|Tibt|tib
br|bre|Breton|Latn|
bs|bos|Bosnian|Latn|
ca|cat|Catalan|Latn|
cbk|cbk|Chavacano|Latn|
ceb|ceb|Cebuano|Latn|
ch|cha|Chamorro|Latn|
ckb|ckb|Central Kurdish|Arab|
cs|ces|Czech|Latn|cze
csb|csb|Kashubian|Latn|
cy|cym|Welsh|Latn|wel
da|dan|Danish|Latn|
de|deu|German|Latn|ger
din|din|Dinka|Latn|dik
dsb|dsb|Lower Sorbian|Latn|
dtp|dtp|Kadazan Dusun|Latn|
dz|dzo|Dzongkha|Tibt|
ee|ewe|Ewe|Latn|
el|ell|Greek|Grek|gre
en|eng|English|Latn|
eo|epo|Esperanto|Latn|
es|spa|Spanish|Latn|
et|est|Estonian|Latn|ekk
eu|eus|Basque|Latn|baq
fa|fas|Persian|Arab|per pes
fi|fin|Finnish|Latn|
fo|fao|Faroese|Latn|
fr|fra|French|Latn|fre
fuv|fuv|Nigerian Fulfulde|Latn|
fy|fry|Western Frisian|Latn|
ga|gle|Irish|Latn|
gd|gla|Scottish Gaelic|Latn|
gl|glg|Galician|Latn|
gn|grn|Guarani|Latn|gug
gsw|gsw|Swiss German|Latn|
gu|guj|Gujarati|Gujr|
ha|hau|Hausa|Latn|
he|heb|Hebrew|Hebr|iw
hi|hin|Hindi|Deva|
hr|hrv|Croatian|Latn|
hsb|hsb|Upper Sorbian|Latn|
ht|hat|Haitian Creole|Latn|
hu|hun|Hungarian|Latn|
hy|hye|Armenian|Armn|arm
ia|ina|Interlingua|Latn|
id|ind|Indonesian|Latn|in
ie|ile|Interlingue|Latn|
ig|ibo|Igbo|Latn|
ilo|ilo|Iloko|Latn|
io|ido|Ido|Latn|
is|isl|Icelandic|Latn|ice
it|ita|Italian|Latn|
ja|jpn|Japanese|Jpan|
jv|jav|Javanese|Latn|jw
ka|kat|Georgian|Geor|geo
kab|kab|Kabyle|Latn|
kk|kaz|Kazakh|Cyrl|
km|khm|Khmer|Khmr|
kn|kan|Kannada|Knda|
ko|kor|Korean|Kore|
kr|kau|Kanuri|Latn|knc
ku|kur|Kurdish|Latn|kmr
kw|cor|Cornish|Latn|
ky|kir|Kyrgyz|Cyrl|
kzj|kzj|Coastal Kadazan|Latn|
la|lat|Latin|Latn|
lb|ltz|Luxembourgish|Latn|
lfn|lfn|Lingua Franca Nova|Latn|
lg|lug|Ganda|Latn|
ln|lin|Lingala|Latn|
lo|lao|Lao|Laoo|
lt|lit|Lithuanian|Latn|
lv|lav|Latvian|Latn|lvs
mai|mai|Maithili|Deva|
max|max|North Moluccan Malay|Latn|
mg|mlg|Malagasy|Latn|plt
mhr|mhr|Eastern Mari|Cyrl|
mi|mri|Maori|Latn|mao
mk|mkd|Macedonian|Cyrl|mac
ml|mal|Malayalam|Mlym|
mn|mon|Mongolian|Cyrl|khk
mr|mar|Marathi|Deva|
ms|msa|Malay|Latn|may zsm zlm
mt|mlt|Maltese|Latn|
my|mya|Burmese|Mymr|bur
nb|nob|Norwegian Bokmål|Latn|no nor
nds|nds|Low German|Latn|
ne|nep|Nepali|Deva|npi
nl|nld|Dutch|Latn|dut
nn|nno|Norwegian Nynorsk|Latn|
nov|nov|Novial|Latn|
nso|nso|Northern Sotho|Latn|
nus|nus|Nuer|Latn|
ny|nya|Nyanja|Latn|
oc|oci|Occitan|Latn|
om|orm|Oromo|Latn|gaz
or|ori|Odia|Orya|ory
orv|orv|Old Russian|Cyrl|
os|oss|Ossetian|Cyrl|
pa|pan|Punjabi|Guru|
pam|pam|Kapampangan|Latn|
pl|pol|Polish|Latn|
pms|pms|Piedmontese|Latn|
prs|prs|Dari|Arab|
ps|pus|Pashto|Arab|pbt pst
pt|por|Portuguese|Latn|
qu|que|Quechua|Latn|
ro|ron|Romanian|Latn|rum mo mol
ru|rus|Russian|Cyrl|
rw|kin|Kinyarwanda|Latn|
sa|san|Sanskrit|Deva|
sc|srd|Sardinian|Latn|
sd|snd|Sindhi|Arab|
si|sin|Sinhala|Sinh|
sk|slk|Slovak|Latn|slo
sl|slv|Slovenian|Latn|
sn|sna|Shona|Latn|
so|som|Somali|Latn|
sq|sqi|Albanian|Latn|alb als
sr|srp|Serbian|Cyrl|
ss|ssw|Swati|Latn|
st|sot|Southern Sotho|Latn|
su|sun|Sundanese|Latn|
sv|swe|Swedish|Latn|
sw|swa|Swahili|Latn|swh
swc|swc|Congo Swahili|Latn|
swg|swg|Swabian|Latn|
ta|tam|Tamil|Taml|
te|tel|Telugu|Telu|
tg|tgk|Tajik|Cyrl|
th|tha|Thai|Thai|
ti|tir|Tigrinya|Ethi|
tk|tuk|Turkmen|Latn|
tl|tgl|Tagalog|Latn|fil
tn|tsn|Tswana|Latn|
tr|tur|Turkish|Latn|
ts|tso|Tsonga|Latn|
tt|tat|Tatar|Cyrl|
tw|twi|Twi|Latn|
tzl|tzl|Talossan|Latn|
udm|udm|Udmurt|Cyrl|
ug|uig|Uyghur|Arab|
uk|ukr|Ukrainian|Cyrl|
ur|urd|Urdu|Arab|
uz|uzb|Uzbek|Latn|uzn
ve|ven|Venda|Latn|
vi|vie|Vietnamese|Latn|
war|war|Waray|Latn|
wo|wol|Wolof|Latn|
wuu|wuu|Wu Chinese|Hans|
xh|xho|Xhosa|Latn|
yi|yid|Yiddish|Hebr|ji ydd
yo|yor|Yoruba|Latn|
yue|yue|Cantonese|Hant|
zh|zho|Chinese|Hans|chi cmn
zu|zul|Zulu|Latn|
"""
KNOWN_ROWS = [row.split("|") for row in KNOWN.strip().split("\n")]

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


def test_languages_in_results_databases_keep_codes_names_and_scripts() -> None:
    for code, code3, name, script, others in KNOWN_ROWS:
        entry = language(code)
        assert (entry.code, entry.code3, entry.name, entry.script) == (code, code3, name, script)
        for spelling in (code3, name, *others.split()):
            assert language(spelling) is entry, spelling
    assert [row[0] for row in KNOWN_ROWS] == [entry.code for entry in LANGUAGES]


def test_every_language_of_iso_639_3_is_known() -> None:
    known = {row[0] for row in KNOWN_ROWS}
    for iso in pycountry.languages:
        if iso.scope == "S":  # several languages, none, undetermined, not listed
            with pytest.raises(InputError, match="unknown language code"):
                language(iso.alpha_3)
            continue
        entry = language(iso.alpha_3)
        assert language(entry.code) == entry == language(entry.code3)
        own = {iso.alpha_3, getattr(iso, "alpha_2", iso.alpha_3)}
        assert entry.code in own | known, iso


@pytest.mark.parametrize(
    ("code", "name", "script"),
    [
        ("bem", "Bemba", "Latn"), ("kmb", "Kimbundu", "Latn"), ("umb", "Umbundu", "Latn"),
        ("vec", "Venetian", "Latn"), ("pnb", "Western Panjabi", "Arab"), ("tok", "Toki Pona", ""),
        ("sh", "Serbo-Croatian", "Latn"), ("fat", "Fanti", "Latn"),
    ],
)  # fmt: skip
def test_languages_outside_the_table(code: str, name: str, script: str) -> None:
    entry = language(code)
    assert (entry.code, entry.name, entry.script) == (code, name, script)
    assert language(name) == entry == language(f"{code}_XX")
    assert (entry.family, entry.resource, entry.xlmr, entry.tatoeba) == ("", None, False, None)


def test_a_name_of_several_languages_is_a_question() -> None:
    with pytest.raises(InputError, match=r"'tonga' is the name of several languages; .*: to, tog"):
        language("Tonga")
    assert language("bemba").code == "bem"  # and not the Bemba (bmy) of whose script nothing is known


def test_groups_of_languages_are_no_language() -> None:
    known = {"ber", "bih"}  # in the table; Bihari languages, for which Unicode CLDR has Bhojpuri
    for group in pycountry.language_families:
        if group.alpha_3 not in known and pycountry.languages.get(alpha_3=group.alpha_3) is None:
            assert lookup(group.alpha_3) is None, group


def test_scripts_are_iso_15924() -> None:
    assert all(pycountry.scripts.get(alpha_4=entry.script) for entry in LANGUAGES)


def test_every_bibliographic_code_is_known() -> None:
    for iso in pycountry.languages:
        if hasattr(iso, "bibliographic"):
            assert language(iso.bibliographic) == language(iso.alpha_3)


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


def test_words_that_are_not_tags_name_no_language() -> None:
    assert names_language("som", "so")
    assert not names_language("README", "so") and not names_other_language("README", "so")
    assert not names_language("fr", "so") and names_other_language("fr", "so")


def test_words_in_the_names_of_files_and_columns() -> None:
    for word in ("so", "som", "Somali", "zho_Hans", "pt-BR", "bem", "kmb", "min_Latn", "sat", "tum"):
        assert looks_like_language(word), word
    for word in ("txt", "csv", "url", "the", "doc", "src", "tgt", "key", "label", "text", "README", "", "to"):
        assert not looks_like_language(word), word


def test_a_word_that_is_no_language_is_left_as_it_is() -> None:
    assert (known_code("som"), known_code("simple")) == ("so", "simple")
    assert (language_name("so"), language_name("simple")) == ("Somali", "simple")


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("zho_Hans", "zh-Hans"), ("zh-Hant-TW", "zh-Hant-TW"), ("pt_br", "pt-BR"), ("es-419", "es-419"),
        ("sr_RS.UTF-8@latin", "sr-Latn-RS"), ("uz@cyrillic", "uz-Cyrl"), ("de_DE@euro", "de-DE"),
        ("ca@valencia", "ca-valencia"), ("knc_Arab", "kr-Arab"), ("Swahili", "sw"), ("fil-PH", "tl-PH"),
    ],
)  # fmt: skip
def test_tags_are_spelled_as_in_bcp_47(text: str, tag: str) -> None:
    assert str(Tag.parse(text)) == tag
    assert Tag.parse(tag) == Tag.parse(text)


@pytest.mark.parametrize(
    ("wanted", "found", "chosen"),
    [
        ("pt", ["pt", "pt-BR"], "pt"),
        ("pt-BR", ["pt", "pt-BR"], "pt-BR"),
        ("pt", ["pt-BR"], "pt-BR"),
        ("pt-AO", ["pt-BR", "pt-PT"], "pt-PT"),
        ("es-MX", ["es-ES", "es-419"], "es-419"),
        ("zho_Hans", ["eng_Latn", "zho_Hans", "zho_Hant"], "zho_Hans"),
        ("zh_Hant", ["zh-CN", "zh-TW"], "zh-TW"),
        ("zh-HK", ["zh-Hans", "zh-Hant"], "zh-Hant"),
        ("zh-Hant", ["zh-Hans"], None),
        ("zh-Hant", ["zh"], "zh"),
        ("knc_Arab", ["knc_Arab", "knc_Latn"], "knc_Arab"),
        ("sr@latin", ["sr-Cyrl", "sr_RS@latin"], "sr_RS@latin"),
        ("so", ["README", "som", "so"], "som"),
        ("no", ["nn", "nb"], "nb"),
        ("ar", ["arz", "arb"], "arb"),
        ("zh", ["yue"], None),
        ("so", [], None),
    ],
)
def test_the_requested_tag_is_chosen(wanted: str, found: list[str], chosen: str | None) -> None:
    assert choose_tag(wanted, found) == chosen


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("zh", ["zh-CN", "zh-TW"]), ("kr", ["knc_Arab", "knc_Latn"]), ("sr", ["sr-Latn", "sr-Cyrl"]),
     ("pt", ["pt-BR", "pt-PT"]), ("pt-PT", ["pt", "pt-BR"])],
)  # fmt: skip
def test_several_tags_without_the_requested_one_are_a_question(wanted: str, found: list[str]) -> None:
    for order in (found, found[::-1]):
        expected = rf"^a\.tmx, line 3: {', '.join(order)} all match the language '{wanted}'; give one of them"
        with pytest.raises(InputError, match=expected):
            choose_tag(wanted, ["en", *order], path="a.tmx", line=3)


@given(st.permutations(["pt", "pt-BR", "pt-PT", "pt-AO", "pt-MZ", "es", "zh-Hans", "zh-Hant", "sr-Latn"]))
def test_a_tag_that_is_there_is_chosen_in_any_order(found: list[str]) -> None:
    for tag in found:
        assert choose_tag(tag, found) == tag
        assert Tag.parse(tag).matches(Tag.parse(tag)) and not Tag.parse(tag).distance(Tag.parse(tag))


def test_units_of_a_file_may_differ_in_region_but_not_in_script() -> None:
    english, chinese = TagChooser("en", "a.tmx"), TagChooser("zh", "a.tmx")
    assert [english.choose([tag]) for tag in ("en-US", "en-GB", "fr")] == ["en-US", "en-GB", None]
    assert chinese.choose(["zh-CN", "en"]) == "zh-CN"
    with pytest.raises(InputError, match=r"a\.tmx: zh-CN and zh_Hant both match the language 'zh'"):
        chinese.choose(["zh_Hant"])
    hant = TagChooser("zh-Hant", "a.tmx")
    assert [hant.choose([tag]) for tag in ("zh-CN", "zh_Hant", "zh-TW")] == [None, "zh_Hant", "zh-TW"]


def test_the_import_loads_no_library() -> None:
    code = (
        "import sys\nfrom engine.languages import language\nlanguage('so')\n"
        "print([name for name in ('langcodes', 'pycountry') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
