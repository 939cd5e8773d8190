list(APPEND KERNELS_SOURCES
     train/bfloat16.c
     train/checkpoint.c
     train/checkpoint_writer.c
     train/distributed.c
     train/distributed_shm.c
     train/evaluate.c
     train/executor.c
     train/executor_plan.c
     train/fit.c
     train/loop.c
     train/memory_plan.c
     train/onnx_result.c
     train/options.c
     train/probe.c
     train/report.c
     train/results.c
     train/run.c
     train/shard.c
     train/start_weights.c
     train/state.c
     train/weight_layout.c)
list(APPEND KERNELS_JSON_SOURCES train/load.c train/trained.c train/predict.c train/generate.c)
set_source_files_properties(train/distributed_shm.c train/bfloat16.c PROPERTIES COMPILE_OPTIONS "$<$<NOT:$<CONFIG:Debug>>:-O3>")

# MPI only through its own pkg-config file, so that no other language or launcher is looked for.
pkg_check_modules(OMPI IMPORTED_TARGET GLOBAL ompi-c)
if(OMPI_FOUND)
  list(APPEND KERNELS_SOURCES train/distributed_mpi.c)
  list(APPEND KERNELS_DEPENDS PkgConfig::OMPI)
  list(APPEND KERNELS_DEFINES HAVE_MPI)
else()
  message(STATUS "trainer: no MPI found; ranks of one host only (libopenmpi-dev makes several hosts possible)")
endif()
