"""Builds leave nothing in the repository; all else about the package is in pyproject.toml."""

import atexit
import shutil
import tempfile

from setuptools import setup

BUILD = tempfile.mkdtemp(prefix="fcos_deploy-build-")
atexit.register(shutil.rmtree, BUILD, ignore_errors=True)

setup(options={"build": {"build_base": BUILD}, "egg_info": {"egg_base": BUILD}})
