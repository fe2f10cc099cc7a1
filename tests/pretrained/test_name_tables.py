from fracjax.pretrained.name_tables import TABLES
from fracjax.pretrained.published import Published, verdict


def test_a_published_file_is_known_by_its_checksum():
    files = (Published("https://a/notop.h5", md5="12"), Published("https://a/top.h5", md5="34"))
    assert verdict(files, "34") == "the file that Keras publishes as top.h5"
    assert verdict(files, "56") == (
        "not a file that Keras publishes: its md5 is 56, notop.h5 has 12, top.h5 has 34"
    )


def test_without_a_published_checksum_nothing_is_claimed():
    assert verdict((Published("https://a/top.h5", md5=None),), "34").startswith(
        "Keras publishes no checksum of this network"
    )


def test_no_name_stands_for_two_leaves():
    for table in TABLES.values():
        assert len(set(table.NAMES.values())) == len(table.NAMES)
        assert not set(table.NAMES.values()) & {*table.LEFT_OUT, *table.CONSTANTS}
