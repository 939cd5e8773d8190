list(APPEND KERNELS_SOURCES ops/layer_types.c ops/row.c ops/reference.c ops/dense.c ops/conv.c ops/pool.c ops/pool_cpu.c ops/activations.c
     ops/activations_cpu.c ops/softmax.c ops/dropout.c ops/layer_norm.c ops/batch_norm.c ops/group_norm.c ops/flatten.c ops/merge.c ops/merge_mixed.c ops/concat.c
     ops/index_map.c ops/reshape.c ops/permute.c ops/slice.c ops/pad.c ops/upsample.c
     ops/rescale.c ops/blocked.c ops/channel_norm.c ops/embedding.c ops/position_embedding.c ops/rms_norm.c ops/swiglu.c ops/attention.c ops/recurrent.c)
if(DNNL_INCLUDE AND DNNL_LIBRARY)
  list(APPEND KERNELS_SOURCES ops/onednn.c ops/dense_cpu.c ops/conv_cpu.c ops/winograd.c ops/attention_cpu.c ops/recurrent_cpu.c)
endif()
set_source_files_properties(ops/onednn.c ops/winograd.c ops/pool_cpu.c ops/softmax.c ops/dropout.c ops/layer_norm.c ops/batch_norm.c ops/merge.c ops/merge_mixed.c ops/upsample.c
  ops/blocked.c ops/channel_norm.c ops/embedding.c ops/position_embedding.c ops/rms_norm.c
  ops/rescale.c PROPERTIES COMPILE_OPTIONS "$<$<NOT:$<CONFIG:Debug>>:-O3;-ffast-math;-fno-finite-math-only>")
# By vmath.h, whose order of operations the compiler must keep; partial redundancy elimination turns its clamps into branches,
# which gcc 12 then does not vectorise.
set_source_files_properties(ops/activations_cpu.c ops/swiglu.c ops/attention_cpu.c ops/recurrent_cpu.c
  PROPERTIES COMPILE_OPTIONS "$<$<NOT:$<CONFIG:Debug>>:-O3;-fno-trapping-math;-fno-math-errno;-fno-tree-pre>")
# Sanitizer builds train too: with loops as -O0 leaves them, end-to-end tests would take ten times as long.
if(TRAINYARD_SANITIZE)
  foreach(source ${KERNELS_SOURCES})
    if(source MATCHES "^ops/")
      set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS -O2)
    endif()
  endforeach()
endif()
