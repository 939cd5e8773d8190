# trainyard-train reads JSON files, so it needs jansson; the library alone does not.
if(JANSSON_FOUND)
  trainyard_program(trainyard-train SOURCES train/main.c DEPENDS kernels)
else()
  message(STATUS "trainer: no jansson found; the library kernels is built, the program trainyard-train is not")
endif()
