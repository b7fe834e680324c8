# shellcheck shell=bash
# How Homeport's scripts talk: numbered steps, notes beneath them, and failures that say what to do next.
# Sourced, not run.

SAY_STEP=0
SAY_STEPS=${SAY_STEPS:-0}
SAY_CURRENT=""
SAY_EXPLAINED=""

# step TEXT…: announce the next step.
step() {
    SAY_STEP=$((SAY_STEP + 1))
    SAY_CURRENT="$*"
    if [ "$SAY_STEPS" -gt 0 ]; then
        printf '[%d/%d] %s\n' "$SAY_STEP" "$SAY_STEPS" "$*"
    else
        printf '\n=== %s\n' "$*"
    fi
}

# note TEXT…: one line about the step that is under way.
note() {
    printf '      %s\n' "$*"
}

# fail WHAT NEXT: end the script, saying what happened, in which step, and what to do about it.
fail() {
    {
        printf '\nFailed: %s\n' "$1"
        [ -z "$SAY_CURRENT" ] || printf 'While:  %s\n' "$SAY_CURRENT"
        [ -z "${2:-}" ] || printf 'Next:   %s\n' "$2"
    } >&2
    SAY_EXPLAINED=yes
    exit 1
}

# explain_end STATUS: for an EXIT trap; says in which step a script ended that did not say so itself.
explain_end() {
    if [ "$1" -ne 0 ] && [ -z "$SAY_EXPLAINED" ]; then
        printf '\nEnded with status %d while: %s\n' "$1" "${SAY_CURRENT:-starting}" >&2
    fi
}

# show_end FILE [LINES]: the end of a log, indented, on standard error.
show_end() {
    [ ! -s "$1" ] || tail -n "${2:-20}" "$1" | sed 's/^/      | /' >&2
}
