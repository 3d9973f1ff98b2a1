"""The whole study in one call: run() carries out the public steps; Recipe in, Study out."""

from causalsem.pipeline.recipe import Recipe
from causalsem.pipeline.run import run
from causalsem.pipeline.study import Study
from causalsem.pipeline.study_file import StudyFile

__all__ = ["Recipe", "Study", "StudyFile", "run"]
