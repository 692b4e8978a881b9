import textwrap

import pytest

from spm.base import digest


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of three modules: `a` imports `b`; `c` stands alone."""
    folder = tmp_path / "spm"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "a.py").write_text("from spm import b\n\n\ndef run():\n    return b.ONE\n")
    (folder / "b.py").write_text('"""What b is."""\n\nONE = 1\n')
    (folder / "c.py").write_text("TWO = 2\n")
    monkeypatch.setattr(digest, "ROOT", tmp_path)

    def of(module):
        digest._source.cache_clear()
        digest.code_digest.cache_clear()
        return digest.code_digest(f"spm.{module}")

    return folder, of


def test_a_change_counts_for_its_importers_and_for_nobody_else(package):
    folder, of = package
    before = {name: of(name) for name in "abc"}
    (folder / "b.py").write_text("ONE = 3\n")
    assert {name for name in "abc" if of(name) != before[name]} == {"a", "b"}


def test_comments_docstrings_and_formatting_do_not_count(package):
    folder, of = package
    before = of("a")
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
    assert of("a") == before


def test_an_import_inside_a_function_counts(package):
    folder, of = package
    (folder / "a.py").write_text("def run():\n    from spm.c import TWO\n    return TWO\n")
    before = of("a")
    (folder / "c.py").write_text("TWO = 4\n")
    assert of("a") != before


def test_the_package_that_a_module_lies_in_counts_once_it_has_code(package):
    folder, of = package
    before = of("a")
    (folder / "__init__.py").write_text('"""What the package is."""\n')
    assert of("a") == before
    (folder / "__init__.py").write_text("ONE = 1\n")
    assert of("a") != before


def test_a_relative_import_is_refused_and_so_is_an_unknown_module(package):
    folder, of = package
    (folder / "a.py").write_text("from . import b\n")
    with pytest.raises(ValueError, match="relative import"):
        of("a")
    with pytest.raises(ValueError, match="no module named"):
        of("nothing")


def test_every_stage_of_this_package_has_a_digest_and_none_needs_its_imports_to_run():
    for module in ("spm.corpus.clips", "spm.fusion.train", "spm.report.figures"):
        digest._source.cache_clear()
        digest.code_digest.cache_clear()
        assert len(digest.code_digest(module)) == 16
    assert "spm.corpus.clips" not in digest.imported_by("spm.corpus.spectrograms")
