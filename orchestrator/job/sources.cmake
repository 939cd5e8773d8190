list(APPEND orchestrator_sources job/job.c job/jobs.c job/state.c )
