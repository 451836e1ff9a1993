# SPDX-License-Identifier: BSD-3-Clause
"""The shape of the house, as docs/design.rst draws it: who knows whom, and names that must agree."""

import ast
import contextlib
import dataclasses
import inspect
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import fastloss as fl
from fastloss import _core, losses, reference

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "fastloss"
KERNELS = PACKAGE / "kernels"

pytestmark = pytest.mark.skipif(not KERNELS.is_dir(), reason="needs the source tree around the tests")

# Each module may know those of a lower floor, and none of its own.
FLOORS = {
    "_core": 0,
    "arrays": 1,
    "distributions": 2,
    "evaluate": 3,
    "config": 1,
    "options": 1,
    "losses": 4,
    "functions": 4,
    "activations": 4,
    "regularizers": 4,
    "statistics": 5,
    "": 6,
    "data": 6,
    "cli": 7,
    "__main__": 8,
}


def imports(path):
    """Modules of the package that a file imports when it runs; imports for type checkers alone do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body.clear()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                submodule = PACKAGE.parent.joinpath(*inner.split("."))
                found = submodule.is_dir() or any(submodule.with_suffix(s).exists() for s in (".py", ".pyx"))
                yield inner if found else str(node.module)


def module_of(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


def python_files():
    return [path for path in sorted(PACKAGE.rglob("*.py")) if PACKAGE / "reference" not in path.parents]


def test_imports_go_down_and_never_sideways():
    seen = set()
    for path in python_files():
        own = module_of(path)
        for name in imports(path):
            top, _, inner = name.partition(".")
            other = inner.partition(".")[0]
            if top != "fastloss" or other == own or other == "reference":
                continue
            seen.add((own, other))
            assert FLOORS[other] < FLOORS[own], f"{path.relative_to(ROOT)} imports {name}"
    assert {("", "losses"), ("losses", "evaluate"), ("evaluate", "_core")} <= seen


def test_only_commands_that_compare_with_it_import_the_reference():
    importing = [path for path in python_files() if "fastloss.reference" in imports(path)]
    assert {path.relative_to(PACKAGE).as_posix() for path in importing} <= {
        "cli/bench_rivals.py",
        "cli/bench_rows.py",
        "cli/demo.py",
    }


def test_the_reference_knows_numpy_and_itself():
    """Only by relative imports, so that it can be loaded a second time under another name."""
    allowed = {"numpy", "dataclasses", "numbers", "operator", "typing"}
    for path in sorted((PACKAGE / "reference").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert {alias.name.partition(".")[0] for alias in node.names} <= allowed, path.name
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 1 or str(node.module).partition(".")[0] in allowed, path.name


def kernel_files():
    found = sorted(path for path in KERNELS.iterdir() if path.suffix in {".c", ".h", ".def"})
    assert len(found) > 5
    return found


def code_of(path):
    """A C file without its comments."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_kernels_know_nothing_of_python():
    for path in kernel_files():
        included = re.findall(r'#\s*include\s*[<"]([^>"]+)', code_of(path))
        for name in included:
            assert not re.search(r"[Pp]ython|numpy|omp\.h", name), f"{path.name} includes {name}"
            if f'"{name}"' in path.read_text(encoding="utf-8"):
                assert (KERNELS / name).exists(), f"{path.name} includes {name}"


def test_kernels_call_no_libm():
    """exp and log of the C library differ from machine to machine, and know one number at a time."""
    functions = "exp exp2 expm1 log log2 log10 log1p pow tanh sqrt ldexp scalbn frexp fma fmax fmin fabs round rint"
    call = re.compile(rf"(?<![\w)])({'|'.join(functions.split())})[fl]?\s*\(")
    for path in kernel_files():
        if path.suffix != ".def":
            found = call.search(code_of(path))
            assert found is None, f"{path.name} calls {found and found.group(1)}"


def test_kernels_allocate_nothing():
    for path in kernel_files():
        if path.name != "threads.c":
            assert not re.search(r"\b(malloc|calloc|realloc|free|errno)\b", code_of(path)), path.name


def test_losses_do_not_include_each_other():
    for name in (*_core.losses(), *_core.functions()):
        path = KERNELS / f"{name}.inc.h"
        if path.exists():
            assert "#include" not in code_of(path), path.name


def snake_case(name):
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def concrete(module):
    return {
        name
        for name in module.__all__
        if isinstance(getattr(module, name), type) and issubclass(getattr(module, name), module.Loss) and name != "Loss"
    }


def test_a_loss_has_one_name():
    """In losses.def, as a class, in the reference, at the top of the package and in its kernel's file."""
    listed = re.findall(
        r"^KERNEL\((?:ROWWISE|STRIPWISE|DISTRIBUTION|PAIRED|ELEMENTWISE), (\w+)\)",
        (KERNELS / "losses.def").read_text(),
        flags=re.MULTILINE,
    )
    assert sorted(listed) == sorted(_core.losses())
    names = concrete(losses)
    assert {snake_case(name) for name in names} == {getattr(losses, name).kernel for name in names}
    kernels = {getattr(losses, name).kernel for name in names}
    kernels |= {getattr(losses, name).distribution_kernel for name in names} - {None}
    kernels |= {kernel for name in names for kernel in getattr(losses, name).option_kernels}
    assert kernels == set(listed)
    assert names == concrete(reference)
    assert names <= set(fl.__all__)
    for name in listed:
        assert (KERNELS / f"{name}.inc.h").exists()


def test_a_function_has_one_name():
    source = (KERNELS / "losses.def").read_text()
    listed = re.findall(r"^KERNEL\((?:ROW_FUNCTION|ELEMENT_FUNCTION), (\w+)\)", source, flags=re.MULTILINE)
    assert sorted(listed) == sorted(_core.functions())
    functions = {*listed, "classification_stats"}
    assert functions <= set(fl.__all__)
    assert functions == {name for name in reference.__all__ if name[0].islower()}


def test_the_reference_has_the_same_options_and_methods():
    for name in concrete(losses):
        ours, theirs = getattr(losses, name), getattr(reference, name)
        assert list(_options(ours).items()) == list(_options(theirs).items())
        assert ours.family == theirs.family
        assert ours.target_kind == theirs.target_kind
        for method in ("__call__", "value_and_grad", "value_grad_hess", "replace"):
            assert list(inspect.signature(getattr(ours, method)).parameters) == list(
                inspect.signature(getattr(theirs, method)).parameters
            )
    for name in (*_core.functions(), "classification_stats"):
        assert _parameters(getattr(fl, name)) == _parameters(getattr(reference, name))


def test_the_reference_has_the_same_statistics():
    ours, theirs = (
        [field.name for field in dataclasses.fields(module.ClassificationStats)] for module in (fl, reference)
    )
    assert ours == theirs
    for name in ("accuracy", "topk_accuracy", "perplexity"):
        assert isinstance(getattr(fl.ClassificationStats, name), property)
        assert isinstance(getattr(reference.ClassificationStats, name), property)


@pytest.mark.parametrize("base", ["Activation", "Regularizer"])
def test_the_reference_has_the_same_activations_and_regularizers(base):
    """With the same options, and the same arguments, which are given in the same way."""
    names = subclasses(reference, base)
    assert len(names) > 3
    assert names == subclasses(fl, base)
    for name in names:
        ours, theirs = getattr(fl, name), getattr(reference, name)
        assert _options(ours) == _options(theirs)
        for method in ("__init__", "__call__", "replace", "value_and_derivative", "value_and_grad"):
            if hasattr(theirs, method):
                assert _parameters(getattr(ours, method)) == _parameters(getattr(theirs, method)), f"{name}.{method}"


def subclasses(module, base):
    """Return the names of a module's public classes that are of a kind."""
    kinds = {name: getattr(module, name) for name in module.__all__}
    return {name for name, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, getattr(module, base))}


def _parameters(function):
    return [(name, given.kind, given.default) for name, given in inspect.signature(function).parameters.items()]


def _options(kind):
    return {field.name: field.default for field in dataclasses.fields(kind) if field.init}


def test_every_instruction_set_of_the_list_is_in_the_build_table():
    listed = re.findall(r"^ISA\((\w+),", (KERNELS / "isas.def").read_text(), flags=re.MULTILINE)
    build = (PACKAGE / "meson.build").read_text()
    assert set(listed) == set(re.findall(r"\['(\w+)', (?:\[|fast)", build))
    order = [name for name in listed if name in _core.isas()]
    assert order == list(_core.isas())


def test_versions_agree():
    (stated,) = re.findall(r"^\s*version: '([^']+)'", (ROOT / "meson.build").read_text(), flags=re.MULTILINE)
    assert fl.__version__ == stated
    with contextlib.suppress(PackageNotFoundError):  # not installed: run from the source tree
        assert version("fastloss") == stated
    citation = ROOT / "CITATION.cff"
    assert re.search(rf"^version: {re.escape(stated)}$", citation.read_text(), flags=re.MULTILINE)
    assert f"\n## {stated}" in (ROOT / "CHANGELOG.md").read_text()


def written_files():
    kinds = {".py", ".pyx", ".pxi", ".pyi", ".c", ".h", ".def", ".build", ".rst", ".md", ".toml", ".sh", ".yml"}
    folders = ("src", "tests", "benchmarks", "docs", "examples", "tools")
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*")) if path.suffix in kinds]
    return [path for path in found if not any(part.startswith("_build") or part[0] == "." for part in path.parts)]


def test_no_file_is_long():
    for path in written_files():
        lines = path.read_text(encoding="utf-8").count("\n")
        assert lines <= 600, f"{path.relative_to(ROOT)} has {lines} lines"


def test_every_source_file_names_its_licence():
    for path in written_files():
        if path.suffix in {".py", ".pyx", ".pxi", ".c", ".h", ".def", ".build"}:
            head = path.read_text(encoding="utf-8")[:300]
            assert "SPDX-License-Identifier: BSD-3-Clause" in head, path.relative_to(ROOT)


def test_sources_that_are_installed_are_all_listed():
    build = (PACKAGE / "meson.build").read_text()
    for path in PACKAGE.iterdir():
        if path.suffix in {".py", ".pyi"} or path.name == "py.typed":
            assert f"'{path.name}'" in build, f"{path.name} is not installed"
        elif path.is_dir() and (path / "__init__.py").exists():
            assert f"'{path.name}'" in build.partition("foreach folder : [")[2], f"{path.name} is not installed"
