#!/usr/bin/env bash
# Installs what is missing and runs every check and test.
#
#   ./tests/run.sh                      everything
#   ./tests/run.sh tests/unit -k wire   pytest alone, with these arguments
#
# On a Debian or Ubuntu machine with git and python3, as root or through sudo. Starts dockerd where no init system
# does, and stops it again at the end.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/lib/say.sh
. deploy/lib/say.sh
# shellcheck source=deploy/lib/install.sh
. deploy/lib/install.sh

become_root "$PWD/tests/run.sh" "$@"

ENVIRONMENT=.venv
AWS_ENVIRONMENT=.venv-aws
export HOMEPORT_TEST_AWS=$PWD/$AWS_ENVIRONMENT/bin/aws
SCRATCH=$(mktemp -d)
BESIDE=

clean_up() {
    explain_end $?
    [ -z "$BESIDE" ] || kill -- "-$BESIDE" 2>/dev/null || true
    stop_engine_if_started
    rm -rf "$SCRATCH"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

prepare() {
    step "Preparing"
    require_python
    ensure_environment "$ENVIRONMENT" development -c deploy/constraints.txt -e '.[dev]'
    # awscli pins a botocore of its own.
    ensure_environment "$AWS_ENVIRONMENT" awscli -c deploy/constraints-aws.txt awscli
    apt_install busybox-static iptables docker-registry shellcheck systemd
    # The tests run registries of their own; the one that the package starts under systemd is not wanted.
    [ ! -d /run/systemd/system ] || systemctl --quiet disable --now docker-registry
    ensure_engine "$ENVIRONMENT" "$SCRATCH/dockerd.log"
}

# check TITLE COMMAND…: run one check; a failure is noted, and the others still run.
check() {
    local title=$1
    shift
    step "$title"
    "$@" </dev/null || failed "$title"
}

# failed TITLE: remember for the end that this failed.
failed() {
    echo "Failed: $1" >>"$SCRATCH/failed"
}

# run_pytest ARGUMENTS…: pytest without the settings that point AWS clients at the outside world.
run_pytest() {
    env -u AWS_CA_BUNDLE -u SSL_CERT_FILE -u SSL_CERT_DIR -u REQUESTS_CA_BUNDLE -u CURL_CA_BUNDLE \
        -u AWS_PROFILE -u AWS_ENDPOINT_URL -u AWS_ENDPOINT_URL_ECS -u HOMEPORT_DATA_DIR \
        "$ENVIRONMENT/bin/python" -m pytest "$@" </dev/null
}

# suite KIND: the tests below tests/KIND; their closing line is kept for the sum at the end.
suite() {
    [ -n "$(find "tests/$1" -name 'test_*.py' -print -quit 2>/dev/null)" ] || return 0
    step "Tests: $1"
    run_pytest "tests/$1" 2>&1 | tee "$SCRATCH/$1" || failed "Tests: $1"
    grep -E '^=+ .* in [0-9.]+s' "$SCRATCH/$1" | tail -n 1 >>"$SCRATCH/closing-lines" || true
}

# suites KIND…: one after another.
suites() {
    local kind
    for kind in "$@"; do
        suite "$kind"
    done
}

# run_beside KIND…: these suites in the background, in a process group of their own; finish_beside waits for them
# and shows them.
run_beside() {
    set -m
    suites "$@" >"$SCRATCH/beside" 2>&1 &
    BESIDE=$!
    set +m
}

finish_beside() {
    wait "$BESIDE"
    BESIDE=
    cat "$SCRATCH/beside"
}

# closing_line: one line for all suites, in pytest's own form.
closing_line() {
    [ -s "$SCRATCH/closing-lines" ] || return 0
    awk '{
        for (i = 2; i <= NF; i++) {
            word = $i; sub(/,$/, "", word)
            if (word ~ /^(passed|failed|skipped|deselected|xfailed|xpassed|errors?|warnings?)$/)
                count[word ~ /^errors?$/ ? "errors" : word] += $(i - 1)
            if ($i == "in") { seconds += $(i + 1) }
        }
    } END {
        split("failed passed skipped deselected xfailed xpassed errors", order, " ")
        for (i = 1; i in order; i++)
            if (order[i] in count) { text = text (text ? ", " : "") count[order[i]] " " order[i] }
        printf "===== %s in %.2fs =====\n", text, seconds
    }' "$SCRATCH/closing-lines"
}

prepare
if [ $# -gt 0 ]; then
    step "Tests: $*"
    SAY_EXPLAINED=yes # by pytest itself
    run_pytest "$@"
    exit
fi

check "Lint" "$ENVIRONMENT/bin/ruff" check .
check "Format" "$ENVIRONMENT/bin/ruff" format --check .
check "Types" "$ENVIRONMENT/bin/mypy" --strict
check "House rules" "$ENVIRONMENT/bin/lint-imports"
check "Shell scripts" shellcheck -x deploy/*.sh deploy/lib/*.sh tests/run.sh tests/installer/*.sh .ci/run
# Those that need no engine, beside those that mostly wait for one. Benchmarks have the machine to themselves.
run_beside unit conformance chaos
suites integration console
finish_beside
suite benchmarks

step "Result"
closing_line
if [ -s "$SCRATCH/failed" ]; then
    cat "$SCRATCH/failed"
    SAY_EXPLAINED=yes
    exit 1
fi
echo "Every check and test passed."
