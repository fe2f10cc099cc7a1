import pytest

from fracjax.pretrained.names import TABLES, published_status


def test_a_published_file_is_known_by_its_checksum():
    notop, top = TABLES["efficientnet_b0"].published.values()
    known = published_status("efficientnet_b0", "902e53a9f72be733fc0bcb005b3ebbac")
    assert known == "the file that Keras publishes as efficientnetb0.h5"
    assert published_status("efficientnet_b0", "56") == (
        "not a file that Keras publishes: its md5 is 56, efficientnetb0_notop.h5 has "
        f"{notop}, efficientnetb0.h5 has {top}"
    )


def test_without_a_published_checksum_nothing_is_claimed():
    assert published_status("mobilenet_v2", "34").startswith("Keras publishes no checksum")


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_no_name_stands_for_two_leaves(table):
    assert len(set(table.names.values())) == len(table.names)
    assert not set(table.names.values()) & {*table.left_out, *table.constants}
