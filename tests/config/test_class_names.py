"""What the name of a class says of its role, and which spellings are one name."""

import pytest

from fracjax.config import Config, Data, io
from fracjax.config.class_names import as_known, role_of, roles, says_the_opposite
from fracjax.config.rules import check
from fracjax.errors import InputError

NEGATIVE = """normal|Normale|healthy|intact|uninjured|control|negative|neg|négatif|negativo|-ve
-|fracture-|fracture -ve|Fracture_negative|not fractured|not_fractured|NotFractured
NO FRACTURE|non-fracture|Non_fractured|nonfractured|unfractured|without fracture|w/o fracture
no_fx|no acute fracture|no fracture or dislocation|no fracture, healthy|normal, no fracture
free of fracture|fracture-free|no finding|no abnormality|fracture_0|fracture_no|0|no|none
no implant|kein Bruch|keine Fraktur|ohne Befund|unauffällig|frakturfrei|gesund|sain
sans fracture|pas de fracture|sano|sin fractura|sem fratura|senza frattura|niet gebroken
zdrowy|bez złamania|здоровый|без перелома|saglıklı|kırık yok
absence of fracture|lack_of_fracture|LackOfFracture|fracture absent|fracture-lacking
fracture absence|never fractured|neither fracture nor dislocation|fracture ruled out
rule_out fracture|nil fracture|fracture not seen|no fracture seen|fracture not present
nofrac|nonfx|fractureless|undamaged|benign|NAD|WNL|o.B.
fehlende Fraktur|Frakturausschluss|Abwesenheit einer Fraktur|unverletzt
Fraktur nicht nachweisbar|absence de fracture|aucune fracture|indemne|ausencia de fractura
ninguna fractura|ausência de fratura|nenhuma fratura|assenza di frattura|nessuna frattura
afwezigheid van fractuur|brak złamania|prawidłowy|bez zlomeniny|zdravý|отсутствие перелома
ingen fraktur|utan fraktur|frisk|terve|kırıksız|sağlam|لا كسر|سليم|طبيعي|골절없음|没有骨折
正常|无骨折|無骨折|骨折なし|정상|골절 없음"""
POSITIVE = """fracture|Fractured|broken|abnormal|unhealthy|not normal|non-normal|injured
positive|pos|+ve|+|fracture+|Fracture_positive|fracture_1|Avulsion fracture
Fracture Dislocation|fracture, not displaced|fracture without displacement|Unterarmfraktur
Bruch|abnorm|auffällig|nicht normal|anormal|fracturé|cassé|fractura|roto|frattura|gebroken
lack of normality|not free of fracture|fracture not excluded|fracture without visible displacement
fracture, absence of displacement|fracture present|damaged|malignant|non-union fracture
verletzt|lésion|fractuur|nieprawidłowy|zlomenina|сломан|benbrudd|törött|كسر|غير طبيعي
złamanie|перелом|kırık|骨折|异常|골절"""
NEITHER = "knee|displaced|stable|unstable|A|1|transverse|hairline|torus|hardware|normal_vs_fracture"


@pytest.mark.parametrize(
    "role, names", [("negative", NEGATIVE), ("positive", POSITIVE), ("", NEITHER)]
)
def test_what_a_name_says(role, names):
    assert {n: role_of(n) for n in names.replace("\n", "|").split("|") if role_of(n) != role} == {}


@pytest.mark.parametrize(
    "classes, opposite",
    [
        (("fractured", "not fractured"), True),
        (("fracture", "others"), True),
        (("others", "normal"), True),
        (("not fractured", "fractured"), False),
        (("others", "fracture"), False),
        (("absence of fracture", "fracture"), False),
        (("fracture", "absence_of_fracture"), True),
        (("others", "lack of fracture"), True),
        (("others", "fracture absent"), True),
        (("a", "b"), False),
        (("Spiral Fracture", "Avulsion fracture"), False),
        (("no_1", "no_2"), False),
        (("fracture", "normal", "odd"), False),  # of three none is negative
    ],
)
def test_an_order_is_the_opposite_of_what_names_say(classes, opposite):
    assert says_the_opposite(classes) == opposite


def test_only_two_classes_have_roles():
    assert roles(("normal", "fracture")) == "negative: normal, positive: fracture"
    assert roles(("a", "b", "c")) == ""


def test_spellings_of_one_name():
    assert as_known(("NORMAL", "u\u0308ber", "x"), ("Normal", "über")) == ("Normal", "über", None)


def test_a_config_against_the_names_is_refused_with_the_flag_to_type():
    config = Config(data=Data(classes=("fractured", "not fractured")))
    with pytest.raises(InputError) as refused:
        check(config)
    assert "negative: fractured, positive: not fractured, the opposite" in str(refused.value)
    flag = "write --data.classes 'not fractured' fractured"
    assert flag in io.fields_as_flags(str(refused.value))


def test_a_config_whose_two_classes_are_one_is_refused():
    with pytest.raises(InputError, match="differ in case or Unicode form only"):
        check(Config(data=Data(classes=("bruch", "Bruch"))))


@pytest.mark.parametrize("names", [("-ve", "+ve"), ("none", "fracture"), ("None", "x", "-h y")])
def test_any_class_name_can_be_typed_and_is_kept(names):
    config = io.load("phantom_stage1", ["--data.classes", *names, "--data.name", "mine"])
    assert (config.data.classes, config.data.name) == (names, "mine")
    assert io.from_dict(io.to_dict(config)) == config
