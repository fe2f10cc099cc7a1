"""Commands say which class is negative and which positive, before any figure."""

from fracjax.cli.main import main


def test_the_cascade_names_the_roles(world, tmp_path, capsys):
    stages = ("--stage1", str(world.stage1.workdir), "--stage2", str(world.stage2.workdir))
    assert main(["cascade", *stages, "--out", str(tmp_path / "out")]) == 0
    assert "negative: healthy, positive: fracture\n" in capsys.readouterr().out
