#!/usr/bin/env bash
# setuptools 80.9.0, pip install -e: any folder with the package's name in the working
# directory hides the installed package, even if the folder has no __init__.py.
#
# Expected: a folder without __init__.py is a namespace package only if there is no
#   regular package of that name anywhere on the path (PEP 420): an ordinary install
#   takes precedence over the folder.  An editable install should do so too.
# Seen: an editable install with a list of packages is found by a finder that comes
#   after Python's own.  Python's own finds the folder, `import` succeeds, and the
#   package is empty.  A checkout that has the package's name is such a folder.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check setuptools==80.9.0 wheel==0.45.1

mkdir -p voyage/voyage elsewhere
cat > voyage/pyproject.toml <<'TOML'
[build-system]
requires = ["setuptools==80.9.0"]
build-backend = "setuptools.build_meta"

[project]
name = "voyage"
version = "1.0"

[tool.setuptools.packages.find]
include = ["voyage*"]
TOML
echo "answer = 42" > voyage/voyage/__init__.py
ask='import voyage; print(getattr(voyage, "answer", None), list(voyage.__path__))'

found=()
for editable in "" "--editable"; do
    venv/bin/pip install --quiet --disable-pip-version-check --no-build-isolation \
        --force-reinstall $editable ./voyage
    for folder in elsewhere .; do
        answer=$(cd "$folder" && PYTHONSAFEPATH= "$work/venv/bin/python" -c "$ask")
        echo "${editable:-ordinary} install, started in $folder: ${answer//$work/WORK}"
        found+=("${answer%% *}")
    done
done
[ "${found[*]}" = "42 42 42 None" ] || { echo "changed: ${found[*]}" >&2; exit 1; }
