trainyard_library(scheduler
  SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/scheduler/place.c ${CMAKE_CURRENT_SOURCE_DIR}/scheduler/plan.c
          ${CMAKE_CURRENT_SOURCE_DIR}/scheduler/queue.c ${CMAKE_CURRENT_SOURCE_DIR}/scheduler/scheduler.c
          ${CMAKE_CURRENT_SOURCE_DIR}/scheduler/share.c ${CMAKE_CURRENT_SOURCE_DIR}/scheduler/sim.c
  DEPENDS base m)
list(APPEND orchestrator_depends scheduler)
