"""The words of series descriptions: what each says, in the languages of those who typed them.

Descriptions are free text: abbreviated, misspelt, without diacritics, in the scanner's language or
the hospital's. A text is brought to lower case without diacritics first (`simplify`); patterns
here are of that form. English, German, French, Spanish, Italian, Portuguese, Polish, and the
Chinese and Japanese words of the phases. Order matters: what was understood is taken out of the
text, so that "late arterial" is gone before "late" is looked for.
"""

import re
import unicodedata
from typing import Literal

Term = Literal[
    "localiser", "monitoring", "report", "projection", "map", "intervention", "correction",
    "lung", "bone",
    "coronal", "sagittal", "oblique", "reformat", "axial",
    "abdomen", "liver", "chest", "pelvis", "urinary", "vessels", "elsewhere", "abdomen_pelvis",
    "several", "late_arterial", "early_arterial", "arterial", "portal_venous", "venous",
    "late_venous", "delayed", "native", "pancreatic", "nephrographic", "excretory", "angiography",
    "with_and_without", "enhanced", "filler",
]  # fmt: skip

_PHASE = r"(?:[ ./_-]*(?:phas\w*|pha|ph|faza|fase|f)(?![a-z]))?"
_NUMBER = r"(?:2|3|4|two|three|four|dual|double|bi|tri|tree|multi|quad|zwei|drei|mehr|wielo)"

# What is searched between two borders that are no letters.
_WORDS: tuple[tuple[Term, str], ...] = (
    ("localiser", r"topo(?:gram\w*)?s?|scouts?|scout ?view|locali[sz]\w*|locator|surview|pilot"),
    ("localiser", r"scano(?:gram\w*)?|przeglad\w*|ubersicht\w*|uebersicht\w*|reperages?"),
    ("localiser", r"localizador\w*|orientierung\w*|3 ?plane(?: loc\w*)?|plan scan"),
    ("monitoring", r"pre ?monitor\w*|monitor\w*|smart ?prep\w*(?: series)?|sure ?start|premon"),
    (
        "monitoring",
        r"care ?bolus|(?:bolus|timing|test)[ -]*(?:bolus|track\w*)|track(?:er|ing)|bolus",
    ),
    ("report", r"(?<!low )(?<!low-)dose(?: ?(?:report|info|record|sheet|summary))?|dosis\w*"),
    ("report", r"patient protocol|protocol page|summary(?: series)?|screen ?(?:save|shot|cap)\w*"),
    ("report", r"results(?: mm)?(?: reading)?|key images?|display|secondary capture|reports?"),
    ("report", r"exam summary|befund|dawka|rapport|informe|referto"),
    ("projection", r"(?:ax|cor|sag)[ -]?m(?:in)?ips?|thin mips?|mips?|minips?|m ?i ?p"),
    ("projection", r"vrt?|volume render\w*|ray ?sum|rtd|ssd|cpr|curved\w*|cine|movie|3d"),
    (
        "map",
        r"gsi|iod(?:ine)?(?: map)?|jod\w*|vnc|vue|virtual\w*(?: non[ -]?contrast)?|fus(?:ed|ion)",
    ),
    (
        "map",
        r"perfus\w*|perf|subtract\w*|sub|colou?r|eff(?:ective)? ?z|rho|monoe?\w* ?\d* ?kev|kev",
    ),
    ("intervention", r"biops\w*|bx|drain\w*|needle|guid(?:ed|ance)|punct?\w*|interven\w*|nadel\w*"),
    ("correction", r"ctac|ac ?ct|attenuation ?corr\w*|pet"),
    ("lung", r"lungs?(?: bases?)?|lunge\w*|pulmon\w*|poumons?|pluca|plucn\w*|parenchima polm\w*"),
    (
        "lung",
        r"h(?:igh)?[ -]?r(?:es)?(?: ?recons?)?(?: ?thins?)?|hi ?res(?:olution)?|hrct|high res\w*",
    ),
    ("bone", r"bones?|kosci\w*|knochen\w*|osseu\w*|huesos?|ossa|osso"),
    ("coronal", r"coronals?|cor(?:o|s)?|frontal\w*|koron\w*|czolow\w*|coronales?"),
    ("sagittal", r"sag(?:it+al\w*)?|sagit+\w*|strzalk\w*"),
    ("oblique", r"obl(?:ique)?s?"),
    ("reformat", r"mprs?(?: range)?|reformat\w*|spo|recon\w*mpr|thick avg|thick average"),
    ("axial", r"ax(?:ial\w*|a|ials)?|tra(?:ns(?:vers\w*|axial)?)?|helicals?(?: mode)?|osiow\w*"),
    ("chest", r"chest|thora\w*|thx|torax|toraks|klatk\w*|klp|mediast\w*|ch(?=[ /]|$)|ct pe\d?|pe"),
    # Three letters of chest, abdomen and pelvis; two are the abdomen and pelvis, or a phase.
    ("abdomen", r"c[/-]?a[/-]?p|c/a|ca(?= routine)|tap|thorako\w*abdom\w*"),
    ("abdomen", r"abd(?:o(?:m(?:en\w*|inal\w*|in)?)?)?|abdpel\w*|ab(?=/)|brzuch\w*|brzusz\w*|jb"),
    ("abdomen", r"(?:ober)?bauch\w*|ventre|vientre|addom\w*|jama brzuszna|pancrea\w*(?! ?/?pha)"),
    ("abdomen", r"panc(?:re)?|trzustk\w*|pankrea\w*|adrenals?|spleen|upper abd\w*|j\.? ?brzusz\w*"),
    ("liver", r"liver|foie|leber\w*|hepat(?:ic|ique|ico|ica)|higado|fegato|figado|watrob\w*|liv"),
    ("abdomen_pelvis", r"a/p|abd?[ /]*pel\w*"),
    ("pelvis", r"pelv\w*|pel|bassin|becken\w*|miednic\w*|mied|pelvico"),
    (
        "urinary",
        r"kidneys?|renal\w*|bladder|ureter\w*|nerk\w*|niere\w*|rein|uro ?(?:ct|scan)|urinary",
    ),
    ("vessels", r"run ?off|aort\w*|legs?|femoral\w*|endo(?:leak)?|carot\w*"),
    ("elsewhere", r"heads?|brain|skull|neck|hals|kopf|cou|szyj\w*|glow\w*|spine|sinus\w*|hip|knee"),
    ("elsewhere", r"cardiac|heart|coronary|colon\w*|entero\w*|orbit\w*|dental|extremit\w*"),
    ("several", rf"{_NUMBER}[ -]*(?:ph(?:ase[sn]?|asi\w*)?|pasi\w*|faz\w*|fas\w*)"),
    ("several", r"bi ?phas\w*|tri ?phas\w*|dynami\w*|dinami\w*|wielofaz\w*|mehrphas\w*|trifas\w*"),
    ("late_arterial", rf"(?:late|spat|spaet)[ -]*art(?:er\w*)?\.?{_PHASE}|hap|arterioportal\w*"),
    ("late_arterial", r"port\w*(?: ven\w*)?[ -]*inflow(?: phase)?"),
    ("late_arterial", rf"art(?:er\w*)? *(?:tardi\w*|tardif\w*|pozn\w*)|pozn\w* *tetni\w*{_PHASE}"),
    ("early_arterial", rf"(?:early|fruh|frueh)[ -]*art(?:er\w*)?\.?{_PHASE}|eap"),
    ("early_arterial", r"art(?:er\w*)? *(?:preco\w*|tempran\w*)|wczesn\w* *tetni\w*"),
    ("arterial", rf"art(?:er\w*|s)?\.?{_PHASE}|t[e?]?tnicz\w*{_PHASE}|f\.? *tetnicz\w*"),
    ("late_venous", rf"(?:late|spat|spaet|pozn\w*)[ -]*(?:ven\w*|zyln\w*){_PHASE}|lvp"),
    ("portal_venous", rf"port(?:al\w*|o|e)?[ ./-]*(?:ven\w*|vein\w*|zyln\w*|v){_PHASE}"),
    (
        "portal_venous",
        rf"p[. /-]*ven(?:ous\w*)?\.?{_PHASE}|p\.?v\.?(?:p|i|phase)?{_PHASE}|p/v{_PHASE}",
    ),
    ("portal_venous", rf"(?:ven\w*|vein\w*)[ -]*port\w*|portal\w*{_PHASE}|porotal\w*|porta"),
    ("portal_venous", rf"wrotn\w*{_PHASE}|pfortad\w*{_PHASE}|portoven\w*"),
    ("venous", rf"ven(?:ous\w*|os\w*|eu[xs]\w*|oes\w*)?\.?{_PHASE}|vein\w*{_PHASE}|v ?phase|vp"),
    ("venous", rf"f\.? *zyln\w*|zyln\w*{_PHASE}|fase v"),
    (
        "nephrographic",
        rf"n[ei]?[pf]h?ro(?!st)\w*{_PHASE}|cortico?\w*|kortiko\w*|parenchym\w*{_PHASE}",
    ),
    ("nephrographic", rf"miazsz\w*{_PHASE}"),
    ("excretory", rf"excret\w*{_PHASE}|urogra\w*|wydalnicz\w*{_PHASE}|ausscheid\w*|escret\w*"),
    ("pancreatic", r"pancreat\w*[ /]*pha\w*|pankreas\w*phase|fase pancreat\w*"),
    (
        "delayed",
        rf"delay\w*{_PHASE}|del(?! ?[a-z\x00])|dly|dlyd|lates?{_PHASE}|tardi\w*{_PHASE}|retard\w*",
    ),
    ("delayed", rf"spat(?:e|phase)?|spaet\w*|verz(?:o|oe)ger\w*|o?pozn\w*{_PHASE}|odrocz\w*|dp"),
    ("delayed", rf"equili\w*{_PHASE}|gleichgew\w*|rownowag\w*|wash ?out"),
    ("angiography", r"cta|angio\w*|ct ?angio"),
    ("with_and_without", r"w ?[/&+]* ?w/?o|w/?o ?[/&+]* ?w(?!/?o)|with and without|mit und ohne"),
    ("with_and_without", r"pre ?[-/&+] ?post|avec et sans"),
    (
        "native",
        r"nativ\w*|non[ -]?/?[ -]?con(?:trast\w*)?|non[ -]?c|un ?enh\w*|non[ -]?enh\w*|ncct",
    ),
    (
        "native",
        r"with ?out(?: iv)?(?: contrast)?|w ?/ ?o(?: iv)?(?: con\w*)?|wo|plain|dry|bez(?: k\w*)?",
    ),
    ("native", r"pre(?:[ -]?con\w*)?|przed(?: kontrast\w*)?|sans(?: (?:inj\w*|contrast\w*|iv|c))?"),
    (
        "native",
        r"ohne(?: km)?|sin(?: contrast\w*| civ)?|sem contrast\w*|senza(?: mdc)?|basal\w*|bland",
    ),
    ("enhanced", r"with(?: \w+(?:-\w+)?)? contrast|w ?/ ?c(?:on\w*)?|enh(?:anced)?|ce|contrast\w*"),
    ("enhanced", r"kontrast\w*|kontr|augment\w*|post(?:[ -]?con\w*)?|po (?:iv|kontr\w*)|inject\w*"),
    ("enhanced", r"avec(?: iv| inj\w*)?|inj(?:ection)?|km|mdc|civ|z kontr\w*|iv|w|with|con"),
    ("enhanced", r"omnipaque|ultravist|iopam\w*|visipaque|isovue|iomeron|xenetix|\d+ ?cc"),
    (
        "filler",
        r"recon ?\d?|routine|std|stnd|standard|soft(?: tissue)?|st|thins?|thick|body|vol(?:ume)?",
    ),
    (
        "filler",
        r"mm|cm|sec(?:s)?|min|series|phas\w*|faza|fase|asir?|opt|live|scan|ct|tk|tc|tdm|and|of",
    ),
    (
        "filler",
        r"miekka|tk miekka|feet|first|upper|lower|whole|wb|range|mode|study|to|the|x|ldct|j",
    ),
    (
        "filler",
        r"b\d\d[a-z]|br\d\d[a-z]?|i\d\d[a-z]|bv\d\d[a-z]?|fc\d\d|t\d\d[a-z]|h\d\d[a-z]|bl\d\d",
    ),
    ("filler", r"tmp|copy|f|m|ct body|supine|prone|insp\w*|exp\w*|breath\w*|hold"),
)
# Signs and scripts that have no borders between words.
_SIGNS: tuple[tuple[Term, str], ...] = (
    ("localiser", "定位|スカウト|位置決め"),
    ("monitoring", "监测|監視|追踪|ボーラス"),
    ("report", "剂量|線量|报告"),
    ("coronal", "冠状"),
    ("sagittal", "矢状"),
    ("lung", "肺"),
    ("late_arterial", "动脉晚期|動脈晚期|動脈相後期|晚动脉期|動脈後期"),
    ("early_arterial", "动脉早期|動脈早期|早期動脈"),
    ("arterial", "动脉期?|動脈(?:優位)?相?期?"),
    ("portal_venous", "门(?:静)?脉期?|門脈(?:優位)?相?|门脉期?"),
    ("delayed", "延迟期?|延遲期?|平衡(?:相|期)?|遅延相?|後期相?|实质期"),
    ("venous", "静脉期?|靜脈期?|静脈相?"),
    ("native", "平扫|平掃|単純|非造影|非增强"),
    ("enhanced", "增强|增強|造影"),
    ("liver", "肝(?:脏|臓)?"),
    ("abdomen", "腹部?"),
    ("chest", "胸部?"),
    ("native", r"(?<![a-z0-9])(?:c|i|iv|k|mdc|km) ?-(?![a-z0-9])"),
    ("enhanced", r"(?<![a-z0-9])(?:c|i|iv|k|mdc|km) ?\+|\+ ?(?:c|i|iv|k|mdc|km)(?![a-z0-9])"),
)
VOCABULARY: tuple[tuple[Term, re.Pattern[str]], ...] = (
    *((term, re.compile(pattern)) for term, pattern in _SIGNS),
    *((term, re.compile(rf"(?<![a-z])(?:{pattern})(?![a-z])")) for term, pattern in _WORDS),
)

_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SPACES = re.compile(r"[\s_^<>\[\]]+")
_LETTERS = str.maketrans({"ł": "l", "ß": "s", "ø": "o", "æ": "a"})


def simplify(text: str) -> str:
    """Return a text in lower case without diacritics, with words run together set apart."""
    parted = _HUMP.sub(" ", unicodedata.normalize("NFC", text))
    bare = "".join(map(_bare, parted))
    return _SPACES.sub(" ", bare.lower().translate(_LETTERS)).strip()


def _bare(character: str) -> str:
    """Return a Latin letter without its marks; in other scripts they tell letters apart."""
    parts = unicodedata.normalize("NFKD", character)
    return parts[0] if parts[0].isascii() else unicodedata.normalize("NFKC", character)
