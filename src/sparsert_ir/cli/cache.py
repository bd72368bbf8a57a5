"""cache: what is kept between runs, and removing it."""

import argparse

from sparsert_ir.cli.report import Report, count


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["info", "clear"])


def run(options: argparse.Namespace) -> Report:
    from sparsert_ir.runtime.cache import DIRECTORY_VARIABLE, cache_clear, cache_info
    from sparsert_ir.tuner.stored import clear_records, kept_records

    clear = options.action == "clear"
    records = len(kept_records())
    info = cache_clear() if clear else cache_info()
    if clear:
        clear_records()
    document = {
        "directory": None if info.directory is None else str(info.directory),
        "entries": info.entries,
        "bytes": info.size_bytes,
        "tuning_records": records,
        "cleared": clear,
    }
    if info.directory is None:
        return Report(document, notes=[f"The cache is switched off ({DIRECTORY_VARIABLE})."])
    did = "removed " if clear else ""
    facts = [
        ("directory", str(info.directory)),
        ("kernels", f"{did}{info.entries} ({count(info.size_bytes)} bytes)"),
        ("tuning records", f"{did}{records}"),
    ]
    return Report(document, facts=facts)
