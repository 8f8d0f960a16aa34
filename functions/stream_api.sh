#!/bin/sh
# Handler of the stream API: the Lambda Web Adapter runs it once a cold start, and then calls the server that it starts.
cd "$LAMBDA_TASK_ROOT" || exit 1
exec python3 start.py
