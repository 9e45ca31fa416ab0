"""Guesses the encoding of file names that a zip stores without naming it."""

import math
import re
import unicodedata
from functools import lru_cache
from itertools import pairwise

RUSSIAN = "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё"  # letters, the most frequent first
GREEK = "αοιτεσνηυρπκςμλόίάδέγήωχθύφβώξζψϊϋΐΰ"
HEBREW = "יוהלאתרבמשנםעחדקכפטןגזצסךףץ"
CHINESE = (  # frequent characters, and those of frequent class names
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方多经"
    "么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情明性知全"
    "三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老给世位次度门任"
    "常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活更别打女变四神总何电数安少报才结反受目太量再感建务做接必场"
    "件计管期市直德资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象完设式色路记南品住告类"
    "求据程北边死张该交规万取拉格望觉术领共确传师观清今切院让识候带导争运猫狗鸟鱼牛羊猪鸡鸭鹅兔虎狮豹熊猴鼠蛇龙龟鹿狼狐狸驴驼虫蜂"
    "蝶蛙蚁蜘蛛花草树叶木林苹橙香蕉葡萄桃梨瓜莓菜米饭面包肉蛋茶车汽船飞火自摩托椅桌灯杯瓶碗鞋帽衣裤裙袜伞钟球刀笔纸红黄蓝绿黑紫灰"
    "粉圆角星零六七八九男孩童猿羚鲸鲨鹰燕鸽房屋桥街床窗测试验训练集图片字照像类别正常异缺陷好坏左右早晚春夏秋冬雨雪风云石土"
)
TRADITIONAL = (  # characters that Taiwan and Hong Kong write in another way
    "這個們來為國說時會對過發後裡種經麼學現當沒動還進樣開實軍無與長機關點業將兩間問應戰頭體見產話門東聲員論處義幾認條氣題變總電數"
    "報結務場計資許統區隊決馬書則聽達強難權設記類據邊張該規萬覺術領確傳師觀識帶導爭運從給兒員讓貓鳥魚豬雞鴨鵝獅龍龜驢駝蟲蟻樹葉蘋"
    "麵飯車飛燈褲裙襪傘鐘筆紙紅黃藍綠圓測試驗訓練圖異壞風雲鯨鯊鷹鴿橋單雙歲輪馬貝頁長陽陰齒點"
)
KOREAN = (  # frequent syllables
    "이다는을가고에의하한로를지사기리어도은아서나자대시인일그있들해스것만부수전정제여보라주원상게마생우장구으니면까무동세미오비소안내적"
    "관유국계공성신경화중조과와요연선방실명물문분설년학교회개거건결력발모반바배벌복본북불산새색식심양업역열영예용음임입재점종직진차참"
    "창처천체초총최추출치친크타태터통트파판평포표품피필함합향험현형호환활황효후강토끼곰말돼닭뱀꽃잎귤딸빵밥컵병책연필의옷신발모자버"
    "스택트럭릭토바킷행헬콥랑빨노초록검흰색남녀얼굴손눈코입귀머훈련검증테데상불량없었겠같던때또더두네세섯여섯덟홉열영호랑사슴여우원숭"
    "늑너구거북붕펭귄독수참까치둘기악얼룩코끼린낙타염양젖카메몬레감람박당근파늘추배수딩집문창침의탁백벽길건강숲잔디월달별글림그런"
)
KANA = "".join(map(chr, (*range(0x3041, 0x3094), *range(0x30A1, 0x30F7)))) + "ー"
LOG_UNKNOWN = math.log(2e-6)  # probability of a character of two bytes that is in no table
LOG_NO_LETTER = math.log(2e-4)  # of a byte that is no letter of the alphabet
LOG_CAPITALS = math.log(0.1)  # of a word in capitals
LOG_MIXED = math.log(0.002)  # of a capital after a small letter, Latin letters in a foreign word, and a backslash
LOG_NO_WORD = math.log(0.05)  # of a word without a vowel or an accent, or with a final letter that is not the last
MIN_SHARE = 0.5  # share of foreign bytes that are characters of the tables


def _rows(page: str, first: int, last: int) -> str:
    """The characters of two bytes with these numbers."""
    codes = (bytes([code >> 8, code & 0xFF]) for code in range(first, last + 1))
    return "".join(text for code in codes if len(text := code.decode(page, "ignore")) == 1 and not text.isascii())


def _alphabet(letters: str) -> dict[str, float]:
    """Log probabilities that fall geometrically, about as frequencies of letters do."""
    ratio = 1 - 3.3 / len(letters)
    return {letter: math.log((1 - ratio) * ratio**rank) for rank, letter in enumerate(letters)}


def _syllables(*groups: tuple[str, float]) -> dict[str, float]:
    """Log probabilities of the characters of groups (characters, probability of the group); the first one counts."""
    found: dict[str, float] = {}
    for text, share in groups:
        new = set(text) - found.keys()
        found |= dict.fromkeys(new, math.log(share / len(new)))
    return found


TABLES = {  # code page -> table of its characters; of equal probability the first page is taken
    "gbk": lambda: _syllables((CHINESE, 0.75), (_rows("gb2312", 0xB0A1, 0xD7FE), 0.22)),
    "cp932": lambda: _syllables((KANA, 0.5), (CHINESE + TRADITIONAL, 0.3), (_rows("cp932", 0x889F, 0x9872), 0.17)),
    "cp1251": lambda: _alphabet(RUSSIAN),
    "cp866": lambda: _alphabet(RUSSIAN),
    "cp949": lambda: _syllables((KOREAN, 0.93), (_rows("cp949", 0xB0A1, 0xC8FE), 0.06)),
    "cp950": lambda: _syllables((TRADITIONAL + CHINESE, 0.75), (_rows("cp950", 0xA440, 0xC67E), 0.22)),
    "cp1253": lambda: _alphabet(GREEK),
    "cp737": lambda: _alphabet(GREEK),
    "cp1255": lambda: _alphabet(HEBREW),
    "cp862": lambda: _alphabet(HEBREW),
}
_RUSSIAN_WORD, _GREEK_WORD, _HEBREW_WORD = "[аеёиоуыэюя]", "^(?!.*ς.)(?=.*[άέήίόύώΐΰ])", "^(?!.*[םןךףץ].)"
ALPHABETS = {  # code page -> pattern of words of at least two letters, in small letters
    "cp1251": _RUSSIAN_WORD, "cp866": _RUSSIAN_WORD, "cp1253": _GREEK_WORD, "cp737": _GREEK_WORD,
    "cp1255": _HEBREW_WORD, "cp862": _HEBREW_WORD,
}  # fmt: skip


@lru_cache(maxsize=32)  # one per code page
def _table(page: str) -> dict[str, float]:
    return TABLES[page]()


def guess_page(names: list[bytes]) -> str:
    """The encoding of these names: UTF-8 if it fits, else the most probable code page, cp437 if none is."""
    if _fits(names, "utf-8"):
        return "utf-8"
    for page in ("cp437", "cp1252"):  # western Europe: zips made by Windows, and by other programs
        if _fits(names, page) and _is_latin([name.decode(page) for name in names], page):
            return page
    parts = sorted({part for name in names for part in name.split(b"/") if not part.isascii()})
    scores = {page: _log_probability(parts, page) for page in TABLES if _fits(parts, page)}
    best = max(scores, key=lambda page: scores[page], default="cp437")
    return best if scores.get(best, -math.inf) > -math.inf else "cp437"


def _log_probability(parts: list[bytes], page: str) -> float:
    """Of these names in this code page; -inf if most of their characters are in no table."""
    table, total, known = _table(page), 0.0, 0
    unknown = LOG_NO_LETTER if page in ALPHABETS else LOG_UNKNOWN
    for text in (part.decode(page) for part in parts):
        foreign = [char for char in text if not char.isascii()]
        total += sum(table.get(char.lower(), unknown) for char in foreign)
        known += sum(len(char.encode(page)) for char in foreign if char.lower() in table)
        total += text.count("\\") * LOG_MIXED  # elsewhere it is the second byte of a character
        if page in ALPHABETS:
            total += sum(_log_form(word, ALPHABETS[page]) for word in re.findall(r"[^\W\d_]+", text))
    return total if known > MIN_SHARE * sum(byte > 0x7F for part in parts for byte in part) else -math.inf


def _log_form(word: str, pattern: str) -> float:
    """Log probability of the form of a word: its capitals, Latin letters in a foreign word, what each word has."""
    if word.isascii() or len(word) == 1:
        return 0.0
    total = LOG_CAPITALS if word.isupper() else 0.0 if re.search(pattern, word.lower()) else LOG_NO_WORD
    odd = sum(a.islower() and b.isupper() for a, b in pairwise(word))
    return total + LOG_MIXED * (odd + any(map(str.isascii, word)))


def _is_latin(names: list[str], page: str) -> bool:
    """Whether these look like words in Latin letters: an ASCII letter in each word, no capital after a small letter.

    In cp437, words of a single letter are accepted if all of them are small or all are capitals, because the same bytes
    are Cyrillic capitals in cp866, for which the cases would alternate.
    """
    words = [word for name in names for word in re.findall(r"[^\W\d_]+|[^\w\s.,()'&+-]+", name) if not word.isascii()]
    letters = [word for word in words if len(word) == 1 and word != "ß"]
    if letters and (page != "cp437" or not (all(map(str.isupper, letters)) or all(map(str.islower, letters)))):
        return False
    return all(
        all(unicodedata.name(c, "").startswith("LATIN") and c != "ƒ" for c in word if c.isalpha())
        and word.isalpha()
        and (len(word) == 1 or (re.search("[A-Za-z]", word) and not re.search("[a-zà-ÿ][A-ZÀ-Þ]", word)))
        for word in words
    )


def _fits(names: list[bytes], page: str) -> bool:
    try:
        return all(name.decode(page) is not None for name in names)
    except UnicodeDecodeError:
        return False
