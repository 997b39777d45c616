#!/bin/sh
# pyright for tests/nn/test_checkers.py, from npm (38 MB), into a folder of the environment $1. Without npm, or where its registry
# does not answer, nothing is installed: that test skips and says what would enable it.
FOLDER="$1/pyright"
if command -v npm > /dev/null && ! test -x "$FOLDER/node_modules/.bin/pyright"; then
    echo "installing pyright for its test"
    timeout 60 npm install --silent --no-audit --no-fund --prefix "$FOLDER" pyright@1.1.414 > /dev/null 2>&1 ||
        echo "pyright could not be installed: its test will skip" >&2
fi
