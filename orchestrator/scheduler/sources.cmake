list(APPEND orchestrator_sources scheduler/scheduler.c )
