"""Configuration of the FileCheck tests; lit supplies `config` and `lit_config`."""

# pyright: basic, reportUndefinedVariable=false
# ruff: noqa: F821
import os
import sys

import lit.formats

config.name = "sparsert_ir"
config.suffixes = [".mlir"]
config.test_source_root = os.path.dirname(__file__)
config.test_format = lit.formats.ShTest(execute_external=False)

bin_directory = os.path.dirname(sys.executable)
config.environment["PATH"] = os.pathsep.join([bin_directory, os.environ.get("PATH", "")])

# `sparsert-opt` reads what it prints, in both syntaxes; GENERIC_ROUNDTRIP stands first because its
# name holds the other's.
READ_BACK = "sparsert-opt --split-input-file | filecheck %s"
config.substitutions += [
    ("GENERIC_ROUNDTRIP", f"sparsert-opt %s --split-input-file --print-op-generic | {READ_BACK}"),
    ("ROUNDTRIP", f"sparsert-opt %s --split-input-file | {READ_BACK}"),
]

supported, reason = lit_config.maxIndividualTestTimeIsSupported
if supported:
    config.maxIndividualTestTime = 20
else:
    lit_config.warning(f"tests run without a time limit: {reason}")
