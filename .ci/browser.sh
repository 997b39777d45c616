#!/bin/sh
# Debian's Chromium for the tests that open a page, where tests run unattended (CI=true) as root and it is missing.
# Elsewhere nothing is installed: those tests skip and say what would enable them.
if [ "${CI:-}" = true ] && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null && ! command -v chromium > /dev/null; then
    echo "installing chromium for the browser tests"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } > /dev/null ||
        echo "chromium could not be installed: the browser tests will skip" >&2
fi
