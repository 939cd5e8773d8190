list(APPEND orchestrator_sources
  api/agents.c api/api.c api/arena.c api/asset_read.c api/assets.c api/auth.c api/call.c api/cluster.c api/console.c api/instances.c api/job_topics.c api/jobs.c api/limiter.c api/nodes.c api/password.c
  api/records.c   api/routes.c api/sessions.c api/span.c api/stream_access.c api/tasks.c api/uploads.c api/verify.c)
