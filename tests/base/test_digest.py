import textwrap

import pytest

from spm.base import digest


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of three modules: `a` imports `b`; `c` is imported by none."""
    folder = tmp_path / "spm"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "a.py").write_text("from spm import b\n\n\ndef run():\n    return b.ONE\n")
    (folder / "b.py").write_text('"""Docstring of b."""\n\nONE = 1\n')
    (folder / "c.py").write_text("TWO = 2\n")
    monkeypatch.setattr(digest, "ROOT", tmp_path)

    def digest_of(module):
        digest._source.cache_clear()
        digest.code_digest.cache_clear()
        return digest.code_digest(f"spm.{module}")

    return folder, digest_of


def test_a_change_counts_for_its_importers_and_for_no_other_module(package):
    folder, digest_of = package
    before = {name: digest_of(name) for name in "abc"}
    (folder / "b.py").write_text("ONE = 3\n")
    assert {name for name in "abc" if digest_of(name) != before[name]} == {"a", "b"}


def test_comments_docstrings_and_formatting_do_not_count(package):
    folder, digest_of = package
    before = digest_of("a")
    (folder / "a.py").write_text(
        textwrap.dedent('''
        """Now with a docstring."""
        from spm import b  # and a comment
        def run():
            """And another."""
            return (b.ONE)
        ''')
    )
    (folder / "b.py").write_text("ONE=1")
    assert digest_of("a") == before


def test_a_description_does_not_count_but_the_value_beside_it_does(package):
    folder, digest_of = package
    setting = "from pydantic import Field\nsize: int = Field({}, ge=1{})\n"
    (folder / "b.py").write_text(setting.format(256, ', description="Width, in px."'))
    before = digest_of("a")
    (folder / "b.py").write_text(setting.format(256, ", description=f'Width of a {1}, in pixels.'"))
    assert digest_of("a") == before
    (folder / "b.py").write_text(setting.format(256, ""))
    assert digest_of("a") == before
    (folder / "b.py").write_text(setting.format(128, ', description="Width, in px."'))
    assert digest_of("a") != before


def test_an_import_inside_a_function_counts(package):
    folder, digest_of = package
    (folder / "a.py").write_text("def run():\n    from spm.c import TWO\n    return TWO\n")
    before = digest_of("a")
    (folder / "c.py").write_text("TWO = 4\n")
    assert digest_of("a") != before


def test_the_package_of_a_module_counts_once_it_has_code(package):
    folder, digest_of = package
    before = digest_of("a")
    (folder / "__init__.py").write_text('"""Docstring of the package."""\n')
    assert digest_of("a") == before
    (folder / "__init__.py").write_text("ONE = 1\n")
    assert digest_of("a") != before


def test_a_relative_import_is_an_error_and_so_is_an_unknown_module(package):
    folder, digest_of = package
    (folder / "a.py").write_text("from . import b\n")
    with pytest.raises(ValueError, match="relative import"):
        digest_of("a")
    with pytest.raises(ValueError, match="no module named"):
        digest_of("nothing")


@pytest.mark.slow
def test_the_stages_of_this_package_have_digests_that_follow_their_imports():
    for module in ("spm.corpus.clips", "spm.fusion.train", "spm.report.figures"):
        digest._source.cache_clear()
        digest.code_digest.cache_clear()
        assert len(digest.code_digest(module)) == 16
    assert "spm.corpus.clips" not in digest.imported_by("spm.corpus.spectrograms")
