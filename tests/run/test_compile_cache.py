"""Where what XLA compiled is kept; that a learner does keep it there is seen in the integration tests."""

from pathlib import Path

import jax
import pytest

from rlpd_robot.run.compile_cache import ENVIRONMENT, processor, use_compile_cache

KEYS = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


@pytest.fixture(autouse=True)
def untouched(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    before = {key: getattr(jax.config, key) for key in KEYS}
    yield
    for key, value in before.items():
        jax.config.update(key, value)


def test_auto_is_a_folder_of_this_user_and_this_kind_of_processor(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    use_compile_cache("auto")
    folder = tmp_path / "rlpd-robot" / "xla" / processor()
    assert jax.config.jax_compilation_cache_dir == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_none_and_the_setting_of_jax_itself_are_left_alone(tmp_path: Path, monkeypatch) -> None:
    before = jax.config.jax_compilation_cache_dir
    use_compile_cache("none")
    monkeypatch.setenv(ENVIRONMENT, "elsewhere")
    use_compile_cache(str(tmp_path / "own"))
    assert jax.config.jax_compilation_cache_dir == before
    assert not (tmp_path / "own").exists()


def test_a_folder_that_cannot_be_made_costs_time_and_no_run(tmp_path: Path, capsys) -> None:
    (tmp_path / "file").touch()
    before = jax.config.jax_compilation_cache_dir
    use_compile_cache(str(tmp_path / "file"))
    said = capsys.readouterr().out
    assert said.startswith("compiles anew, since compiled programs cannot be kept ([Errno")
    assert str(tmp_path / "file") in said
    assert jax.config.jax_compilation_cache_dir == before
