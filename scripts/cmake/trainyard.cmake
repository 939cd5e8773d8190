# What every target of this project is compiled with, and the three ways to declare one.
find_package(PkgConfig REQUIRED)

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_EXTENSIONS ON) # -std=gnu17
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")
set(CMAKE_C_FLAGS_DEBUG "-O0 -g3")

set(TRAINYARD_WARNINGS -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith
    -Wcast-qual -Wwrite-strings -Wvla -Wformat=2 -Wno-format-nonliteral -Wno-missing-field-initializers)
add_compile_definitions(_GNU_SOURCE TRAINYARD_VERSION="${PROJECT_VERSION}")
if(TRAINYARD_SANITIZE STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(TRAINYARD_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
  add_link_options(-fsanitize=thread)
else()
  add_compile_options(-fstack-protector-strong)
  add_compile_definitions($<$<CONFIG:Release>:_FORTIFY_SOURCE=2>)
  add_link_options(-Wl,-z,relro,-z,now)
endif()

# Tests of a sanitizer build are named asan.* and tsan.*, so that one ctest run can hold all builds.
set(TRAINYARD_TEST_PREFIX "")
if(TRAINYARD_SANITIZE STREQUAL "address")
  set(TRAINYARD_TEST_PREFIX "asan.")
elseif(TRAINYARD_SANITIZE STREQUAL "thread")
  set(TRAINYARD_TEST_PREFIX "tsan.")
endif()

# trainyard_library(NAME SOURCES ... [DEPENDS ...]): a static library other targets include as "folder/file.h".
function(trainyard_library name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  target_compile_options(${name} PRIVATE ${TRAINYARD_WARNINGS})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/common)
  target_link_libraries(${name} PUBLIC ${A_DEPENDS})
endfunction()

# trainyard_program(NAME SOURCES ... [DEPENDS ...]): an installed program.
function(trainyard_program name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_compile_options(${name} PRIVATE ${TRAINYARD_WARNINGS})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/common)
  target_link_libraries(${name} PRIVATE ${A_DEPENDS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
  install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()

# trainyard_test(NAME SOURCES ... [DEPENDS ...]): a cmocka program that ctest runs.
function(trainyard_test name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPENDS" ${ARGN})
  pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
  add_executable(${name} ${A_SOURCES})
  target_compile_options(${name} PRIVATE ${TRAINYARD_WARNINGS})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/common)
  target_link_libraries(${name} PRIVATE ${A_DEPENDS} PkgConfig::CMOCKA)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${TRAINYARD_TEST_PREFIX}${name} COMMAND ${name})
  set_tests_properties(${TRAINYARD_TEST_PREFIX}${name} PROPERTIES TIMEOUT 300)
endfunction()
