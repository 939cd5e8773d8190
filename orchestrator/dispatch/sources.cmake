list(APPEND orchestrator_sources dispatch/dispatch.c dispatch/launch.c dispatch/nodes.c dispatch/outcome.c dispatch/session.c )
