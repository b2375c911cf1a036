#!/bin/sh
# A first script: it says a few things and takes two seconds for it.
echo "Hello from $(uname -n), this is run $JOB_RUNNER_RUN_ID"
for n in 1 2 3 4; do
    sleep 0.5
    echo "line $n"
done
echo "and this one went to stderr" >&2
