# embed(OUT NAME FILES...): a C file with `const struct embedded_file NAME[]`, one row a file and a row with a NULL name last, so
# that a program carries its SQL and its API description with it. Generated when a file changes.
function(embed out name)
  add_custom_command(
    OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} "-DOUT=${out}" "-DNAME=${name}" "-DFILES=${ARGN}" -P ${PROJECT_SOURCE_DIR}/orchestrator/embed-run.cmake
    DEPENDS ${ARGN} ${PROJECT_SOURCE_DIR}/orchestrator/embed-run.cmake
    COMMENT "Embedding ${name}"
    VERBATIM)
endfunction()
