#!/bin/sh
# Handler of the stream API: the Lambda Web Adapter runs it once a cold start, and then calls the server that it starts.
cd "$LAMBDA_TASK_ROOT" || exit 1
exec python3 -m uvicorn --factory stream_api:app --host 127.0.0.1 --port "$AWS_LWA_PORT" \
  --http h11 --no-access-log --log-level warning --no-server-header --timeout-graceful-shutdown 2
