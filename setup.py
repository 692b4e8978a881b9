"""Build of the wheel: the files of the workflow go into the package, as spm/project."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

WORKFLOW = ("Snakefile", "config.yaml", "rules", "envs", "workflow")


class BuildWithWorkflow(build_py):
    """Copies the workflow, unless the installation is editable and finds it in the checkout."""

    def run(self) -> None:
        """Copy the package, then the workflow."""
        super().run()
        if self.editable_mode:
            return
        root, project = Path(__file__).parent, Path(self.build_lib, "spm", "project")
        shutil.rmtree(project, ignore_errors=True)
        project.mkdir(parents=True)
        for name in WORKFLOW:
            copy = shutil.copytree if (root / name).is_dir() else shutil.copy2
            copy(root / name, project / name)


setup(cmdclass={"build_py": BuildWithWorkflow})
