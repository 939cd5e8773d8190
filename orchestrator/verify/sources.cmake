list(APPEND orchestrator_sources verify/cage.c verify/child.c verify/result.c verify/verifier.c)
