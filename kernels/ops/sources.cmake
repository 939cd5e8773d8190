list(APPEND KERNELS_SOURCES ops/layer_types.c ops/row.c ops/reference.c ops/dense.c ops/conv2d.c ops/pool2d.c ops/activations.c
     ops/activations_cpu.c ops/softmax.c ops/dropout.c ops/layer_norm.c ops/batch_norm.c ops/flatten.c ops/add.c ops/concat.c
     ops/rescale.c ops/blocked.c ops/channel_norm.c)
if(DNNL_INCLUDE AND DNNL_LIBRARY)
  list(APPEND KERNELS_SOURCES ops/onednn.c ops/dense_cpu.c ops/conv2d_cpu.c ops/pool2d_cpu.c)
endif()
set_source_files_properties(ops/onednn.c ops/activations_cpu.c ops/softmax.c ops/dropout.c ops/layer_norm.c ops/batch_norm.c ops/add.c
  ops/blocked.c ops/channel_norm.c
  ops/rescale.c PROPERTIES COMPILE_OPTIONS "$<$<NOT:$<CONFIG:Debug>>:-O3;-ffast-math;-fno-finite-math-only>")
