"""File names of zips that do not name their encoding: the code page is guessed from real names of classes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aevae.datasets import code_pages
from aevae.datasets.code_pages import TABLES, guess_page

CLASSES = {  # code page -> sets of classes
    "gbk": (
        "图片 中国",
        "狮子 熊猫",
        "兔子 狮子",
        "兔子 熊猫 狮子",
        "猫 狗",
        "狗",
        "鸟",
        "猫 狗 鸟",
        "苹果 香蕉",
        "飞机 汽车 船",
        "中文 数字",
        "训练集 测试集",
        "飞机 鸟",
        "红 黄 蓝 绿",
        "马 牛 羊",
        "零 一 二 三",
        "正常 异常",
        "裙子 衬衫 裤子 凉鞋 运动鞋 包 短靴 外套 套衫",
        "玫瑰 郁金香 向日葵 雏菊 蒲公英",
        "台风 地震",
        "水稻 小麦 玉米",
        "良品 次品",
        "苹果 梨",
        "鱼",
        "车",
        "西瓜 草莓 樱桃 柠檬 芒果",
        "甲 乙 丙 丁",
        "男 女",
        "大象 长颈鹿 斑马 河马 犀牛",
        "蝴蝶 蜜蜂 蜻蜓 蚂蚁 蚊子",
        "可回收物 厨余垃圾 有害垃圾 其他垃圾",
    ),
    "cp949": (
        "고양이 강아지 새",
        "고양이 강아지",
        "새",
        "고양이",
        "개 고양이",
        "사과 바나나 포도",
        "자동차 비행기 배",
        "훈련 테스트",
        "곰 말 소",
        "꽃 나무",
        "정상 불량",
        "빨강 파랑 노랑",
        "남자 여자",
        "치킨 피자 햄버거",
        "호랑이 사자 코끼리 기린",
        "장미 튤립 해바라기 민들레 데이지",
        "티셔츠 바지 드레스 코트 샌들 셔츠 운동화 가방 부츠",
        "토끼 거북이 펭귄",
        "학교 병원",
        "강 산 바다",
        "물고기 나비 벌",
        "쌀 보리 밀",
        "영 일 이 삼 사 오 육 칠 팔 구",
        "개",
        "한글 숫자",
        "강아지",
        "닭 오리 거위",
        "플라스틱 유리 종이 캔",
    ),
    "cp950": (
        "貓 狗 鳥",
        "貓",
        "貓 鳥",
        "狗 貓",
        "圖片 中國",
        "獅子 熊貓",
        "蘋果 香蕉",
        "飛機 汽車",
        "訓練集 測試集",
        "紅 黃 藍 綠",
        "馬 牛 羊",
        "正常 異常",
        "魚",
        "玫瑰 鬱金香 向日葵",
        "西瓜 草莓 櫻桃",
        "大象 長頸鹿 斑馬",
        "男 女",
        "蝴蝶 蜜蜂 螞蟻",
        "塑膠 玻璃 紙類 金屬",
        "數字 文字",
    ),
    "cp932": (
        "犬 猫",
        "犬 猫 ひらがな",
        "犬 猫 カタカナ",
        "犬 猫 表ソ能",
        "いぬ ねこ",
        "イヌ ネコ",
        "鳥",
        "猫",
        "りんご バナナ",
        "車 飛行機 船",
        "正常 異常",
        "訓練 テスト",
        "花 木 草",
        "東京 大阪",
        "数字 文字",
        "男 女",
        "良品 不良品",
        "あ い う え お",
        "リンゴ ミカン",
        "玉 石",
    ),
    "cp1251": (
        "собаки кошки",
        "КОТЫ СОБАКИ",
        "КОТЫ РЫБЫ",
        "кошка собака птица",
        "Кот Пёс",
        "яблоко груша",
        "самолёт машина",
        "да нет",
        "кот",
        "Кошки Собаки",
        "ёж лиса",
        "розы тюльпаны",
        "А Б В",
        "хорошие плохие",
        "МАШИНЫ САМОЛЁТЫ",
        "цифры буквы",
        "обучение тест",
        "ноль один два три",
    ),
    "cp866": (
        "собаки Кошки",
        "А Б В",
        "КОТЫ РЫБЫ",
        "кошка собака птица",
        "Кот Пёс",
        "яблоко груша",
        "самолёт машина",
        "кот",
        "ёж лиса",
        "МАШИНЫ САМОЛЁТЫ",
        "цифры буквы",
        "обучение тест",
    ),
    "cp1253": (
        "γάτα σκύλος",
        "γάτα σκύλος πουλί",
        "Γάτες Σκύλοι",
        "ΓΑΤΑ ΣΚΥΛΟΣ",
        "μήλο μπανάνα",
        "αυτοκίνητο αεροπλάνο",
        "καλό κακό",
        "ψάρι",
        "ΓΑΤΕΣ ΣΚΥΛΟΙ ΠΟΥΛΙΑ",
        "τριαντάφυλλο τουλίπα",
        "μηδέν ένα δύο τρία",
    ),
    "cp737": (
        "γάτα σκύλος",
        "γάτα σκύλος πουλί",
        "Γάτες Σκύλοι",
        "ΓΑΤΑ ΣΚΥΛΟΣ",
        "μήλο μπανάνα",
        "αυτοκίνητο αεροπλάνο",
        "μηδέν ένα δύο",
    ),
    "cp1255": (
        "חתול כלב",
        "חתול כלב ציפור",
        "תפוח בננה",
        "כן לא",
        "סוס פרה",
        "טוב רע",
        "אפס אחת שתיים שלוש",
        "פרחים עצים",
    ),
    "cp862": (
        "חתול כלב",
        "חתול כלב ציפור",
        "תפוח בננה",
        "מכונית מטוס",
        "סוס פרה",
        "אפס אחת שתיים שלוש",
        "פרחים עצים",
    ),
    "cp437": (
        "café Grün",
        "Ä Ö Ü ß",
        "à ç è é",
        "león ñandú ¿qué",
        "0° 90°",
    ),
    "cp1252": ("Möwe été niño", "león ¿qué pingüino", "l’été façade", "bjørn blåbær", "90° 180°"),
    "cp850": ("cão pássaro", "bjørn rød blåbær", "ørn ål"),
}


@pytest.mark.parametrize(("page", "classes"), [(page, classes) for page, sets in CLASSES.items() for classes in sets])
def test_the_code_page_of_class_names(page, classes):
    assert guess_page([f"{name}/{k}.png".encode(page) for name in classes.split() for k in range(3)]) == page


def test_every_code_page_is_tried_with_names():
    assert {*TABLES, "cp437", "cp1252", "cp850"} == set(CLASSES) and min(map(len, CLASSES.values())) >= 1


@pytest.mark.parametrize("page", TABLES)
def test_a_table_is_a_distribution_of_characters_that_the_page_has(page):
    table = code_pages._table(page)
    assert all(len(char) == 1 and value < 0 for char, value in table.items())
    assert 0.9 < sum(map(code_pages.math.exp, table.values())) <= 1


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(st.lists(st.binary(min_size=1, max_size=12), min_size=1, max_size=6))
def test_any_bytes_can_be_decoded_by_what_is_guessed(names):
    page = guess_page(names)
    assert all(name.decode(page) is not None for name in names)
