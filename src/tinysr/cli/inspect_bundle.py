"""Tables of `tinysr inspect` for a bundle. Needs neither torch nor onnx."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinysr.hashing import file_sha256
from tinysr.manifest import FileEntry, Manifest, read_manifest
from tinysr.runtime.integrity import find_fault
from tinysr.terminal import Column, Output, Part, Table, style_text

__all__ = ["bundle_report", "find_damaged_files", "print_bundle"]

_VERDICT_STYLE = {"pass": "green", "fail": "bold red", "not run": "yellow"}


def bundle_report(folder: Path) -> dict[str, Any]:
    """Return the manifest as JSON-ready data, with a ``check`` beside every file.

    Raises:
        BundleError: there is no manifest, or it does not fit the schema.
    """
    manifest = read_manifest(folder)
    checks = {entry.path: _check(folder, entry) for entry in _entries(manifest)}
    report = {"kind": "bundle", **manifest.model_dump(mode="json")}
    for entry in _files(report):
        entry["check"] = checks[entry["path"]]
    return report


def find_damaged_files(report: dict[str, Any]) -> list[str]:
    """Return the files that are not as the manifest says, each with what is wrong."""
    bad: dict[str, None] = {}  # an ordered set: graphs share their weights
    for entry in _files(report):
        if entry["check"] != "ok":
            bad[f"{entry['path']} ({entry['check']})"] = None
    return list(bad)


def _entries(manifest: Manifest) -> list[FileEntry]:
    entries = [entry for a in manifest.artifacts for entry in (a.file, *a.data)]
    entries += (*manifest.documents, *manifest.quantization_plans.values())
    return entries + ([manifest.precision_plan] if manifest.precision_plan else [])


def _files(report: dict[str, Any]) -> list[dict[str, Any]]:
    files = [entry for a in report["artifacts"] for entry in (a["file"], *a["data"])]
    files += (*report["documents"], *report["quantization_plans"].values())
    return files + ([report["precision_plan"]] if report["precision_plan"] else [])


def _check(folder: Path, entry: FileEntry) -> str:
    """Return ``ok``, ``changed``, ``missing`` or ``unreadable``."""
    fault = find_fault(folder, entry, file_sha256)
    return "ok" if fault is None else fault.kind


def print_bundle(report: dict[str, Any]) -> None:
    """Print the report for people."""
    output = Output()
    source, bake, host = report["source"], report["bake"], report["host"]
    trained = "trained weights" if source["trained"] else "seeded weights"
    lines = {
        "bundle": f"{report['name']}, {report['family']}, ×{report['chain']['scale']}",
        "source": f"{source['kind']} {source['name']}, {trained}",
        "sha256": source["sha256"],
        "bake": f"baked against eager {bake['difference']:.1e}, allowed {bake['tolerance']:.0e}",
        "tile": f"{report['tile']} pixels",
        "stages": "; ".join(_describe_stage(stage) for stage in report["chain"]["stages"]),
        "made on": f"{host['system']} {host['machine']}, Python {host['python']}",
        "made with": ", ".join(f"{name} {version}" for name, version in report["tools"].items()),
    }
    for name, text in lines.items():
        output.line(style_text(f"{name:>9}", "bold"), f"  {text}")
    for table in (_artifact_table(report["artifacts"]), _file_table(_files(report))):
        output.line()
        output.table(table)


def _describe_stage(stage: dict[str, Any]) -> str:
    division = dict(stage["division"])
    kind = division.pop("kind")
    sizes = ", ".join(f"{name.replace('_', ' ')} {cells}" for name, cells in division.items())
    return f"{stage['name']} in {kind} ({sizes} cells)" if kind != "whole" else stage["name"]


def _artifact_table(artifacts: list[dict[str, Any]]) -> Table:
    names, prose = ("artifact", "precision"), ("shapes", "parity")
    columns = [*(Column(name=n) for n in names), *(Column(name=n, wraps=True) for n in prose)]
    table = Table(columns=columns)
    for artifact in artifacts:
        table.add(
            f"{artifact['target']}/{artifact['stage']}",
            artifact["precision"],
            f"{_shapes(artifact['inputs'])} → {_shapes(artifact['outputs'])}",
            _verdict(artifact["parity"]),
        )
    return table


def _verdict(verdict: dict[str, Any]) -> Part:
    text = verdict["result"]
    if verdict["worst_db"] is not None and verdict["gate_db"] is not None:
        text += f", {verdict['worst_db']:.1f} dB of {verdict['gate_db']:.0f}"
    if verdict["note"]:
        text += f", {verdict['note']}"
    return style_text(text, _VERDICT_STYLE[verdict["result"]])


def _file_table(entries: list[dict[str, Any]]) -> Table:
    table = Table(
        columns=[Column(name="file"), Column(name="MiB", right=True), Column(name="check")]
    )
    files = {entry["path"]: entry for entry in entries}
    for path, entry in files.items():
        table.add(path, f"{entry['size'] / 2**20:.1f}", _mark(entry["check"]))
    return table


def _mark(check: str) -> Part:
    return style_text(check, "green" if check == "ok" else "bold red")


def _shapes(ports: list[dict[str, Any]]) -> str:
    return ", ".join("×".join(map(str, port["shape"])) for port in ports)
