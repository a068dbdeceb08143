#!/bin/sh
# Refuses every job on this machine but those that a maintainer's word stands before.
#
# The runner runs it before each job, if its .env has the full path of a copy of this file, outside
# of any checkout and writable by root alone:
#     ACTIONS_RUNNER_HOOK_JOB_STARTED=/usr/local/bin/only-vetted.sh
# A non-zero exit ends the job before its first step, whatever its workflow file says: a pull
# request from a fork brings its own workflow files, but neither this file nor these variables.
set -u

case "${GITHUB_EVENT_NAME:-}" in
merge_group | workflow_dispatch) ;;
*)
    echo "refused: a job of event '${GITHUB_EVENT_NAME:-}'; only merge_group and workflow_dispatch run here" >&2
    exit 1
    ;;
esac

case "${GITHUB_WORKFLOW_REF:-}" in
"${GITHUB_REPOSITORY:?}"/.github/workflows/gpu.yml@*) ;;
*)
    echo "refused: a job of '${GITHUB_WORKFLOW_REF:-}'; only .github/workflows/gpu.yml runs here" >&2
    exit 1
    ;;
esac
