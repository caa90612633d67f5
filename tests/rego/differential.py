#!/usr/bin/env python3
"""Compares the corpus with a real OPA: the Go library, as the PyPI package `opa-golib-python-bindings` bundles it.

The corpus says what the gateway's engine makes of each case (a test of `mcpg-filters` holds it to that). This script says whether
OPA makes the same of it. With `--write` it puts OPA's answers into the corpus.

Usage: differential.py [--write] [FOLDER]
       differential.py --fetch FOLDER
FOLDER has the package's `opa_bindings`, or gets it: it is fetched with pip. Where it cannot be had the comparison is skipped, aloud.
With `--fetch` nothing is compared, and the exit code says whether the package is there.

This OPA is built with `StrictBuiltinErrors`: a builtin that fails fails the query, as in the gateway. OPA's own server and command
line leave it undefined unless they are told otherwise.
"""

import ctypes
import json
import pathlib
import subprocess
import sys
import tempfile
import zipfile

PACKAGE = "opa-golib-python-bindings==0.4.4"
CORPUS = pathlib.Path(__file__).with_name("corpus.json")


def library(folder):
    """Loads the bridge by its C interface, which asks for no version of Python."""
    found = next(pathlib.Path(folder).rglob("libopabridge.so"))
    lib = ctypes.CDLL(str(found))
    lib.OpaNew.restype = ctypes.c_uint64
    for name, arguments in (("OpaAddPolicy", 2), ("OpaAddData", 2)):
        function = getattr(lib, name)
        function.restype = ctypes.c_void_p
        function.argtypes = [ctypes.c_uint64] + [ctypes.c_char_p] * arguments
    lib.OpaEvalQuery.restype = ctypes.c_void_p
    lib.OpaEvalQuery.argtypes = [ctypes.c_uint64, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int]
    lib.OpaFreeString.argtypes = [ctypes.c_void_p]
    lib.OpaFreeString.restype = None
    lib.OpaDestroy.argtypes = [ctypes.c_uint64]
    lib.OpaDestroy.restype = None
    return lib


def fetch(folder):
    """Puts the package into the folder, unless it is there. In one step: who is interrupted leaves nothing that looks whole."""
    folder = pathlib.Path(folder)
    if any(folder.rglob("libopabridge.so")):
        return
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        subprocess.run([*command, "--python-version", "3.14", "-d", scratch, PACKAGE], check=True, timeout=300)
        for wheel in pathlib.Path(scratch).glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(scratch)
        (pathlib.Path(scratch) / "opa_bindings").rename(folder / "opa_bindings")


def call(lib, function, *arguments):
    pointer = function(*arguments)
    text = ctypes.string_at(pointer).decode()
    lib.OpaFreeString(pointer)
    return json.loads(text)


def evaluated(lib, case, document):
    """What OPA makes of a case, in the words of the corpus."""
    engine = lib.OpaNew()
    try:
        module = "package mcpg\n" + case["rules"]
        added = call(lib, lib.OpaAddPolicy, engine, b"a.rego", module.encode())
        if not added.get("ok", "error" not in added):
            return {"refused": added}
        if "data" in case:
            call(lib, lib.OpaAddData, engine, b"", json.dumps(case["data"]).encode())
        answer = call(lib, lib.OpaEvalQuery, engine, b"data.mcpg.decision", json.dumps(document).encode(), 0, 0)
    finally:
        lib.OpaDestroy(engine)
    return read(answer)


def read(answer):
    if answer.get("error"):
        return {"error": True}
    rows = answer.get("result") or []
    return {"value": rows[0]["expressions"][0]["value"]} if rows else {"undefined": True}


def main():
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    if "--fetch" in sys.argv:
        fetch(arguments[0])
        return 0
    corpus = json.loads(CORPUS.read_text())
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments[0] if arguments else scratch
        try:
            fetch(folder)
            lib = library(folder)
        except (subprocess.SubprocessError, OSError, StopIteration) as problem:
            print(f"SKIPPED: no real OPA can be had here: {problem}")
            return 0
        wrong = 0
        for case in corpus["cases"]:
            theirs = evaluated(lib, case, corpus["input"])
            if "--write" in sys.argv:
                case["opa"] = theirs
            elif theirs != case.get("opa"):
                wrong += 1
                print(f"{case['name']}: the corpus has {case.get('opa')}, and OPA says {theirs}")
    if "--write" in sys.argv:
        CORPUS.write_text(json.dumps(corpus, indent=1, ensure_ascii=False) + "\n")
    print(f"{len(corpus['cases']) - wrong} passed, {wrong} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
