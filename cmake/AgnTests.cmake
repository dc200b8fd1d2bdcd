# Tests, fuzzers and benchmarks, each found by its file name.

set(AGN_TEST_ENVIRONMENT
  OMP_NUM_THREADS=2
  OMP_WAIT_POLICY=passive
  TMPDIR=${PROJECT_BINARY_DIR}/tmp
  AGN_SOURCE_DIR=${PROJECT_SOURCE_DIR}
  AGN_BINARY_DIR=${PROJECT_BINARY_DIR}
  AGN_BIN=${PROJECT_BINARY_DIR}/agilenn
  ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1
  LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/support/lsan.supp:print_suppressions=0
  UBSAN_OPTIONS=print_stacktrace=1
  TSAN_OPTIONS=history_size=7:suppressions=${PROJECT_SOURCE_DIR}/tests/support/tsan.supp)

# Runs a command as a test, in a private folder (AGN_TEST_TMP) that is deleted after it.
function(agn_add_test name)
  add_test(NAME ${name} COMMAND ${PROJECT_SOURCE_DIR}/tests/support/with_tmp.sh ${ARGN})
  set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77)
  agn_limit_test(${name} 120)
endfunction()

# with_tmp.sh ends a test that is late, and all that it has started; CTest only should that fail.
function(agn_limit_test name seconds)
  if(TEST ${name})
    math(EXPR soft "${seconds} - 10")
    math(EXPR hard "${seconds} + 20")
    set_tests_properties(${name} PROPERTIES TIMEOUT ${hard}
      ENVIRONMENT "${AGN_TEST_ENVIRONMENT};AGN_TEST_SECONDS=${soft}")
  endif()
endfunction()

function(agn_add_program name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE agn_flags ${AGN_ALL_ROOMS} agn_openmp agn_jansson Threads::Threads m)
  target_include_directories(${name} PRIVATE ${AGN_GENERATED_DIR})
  add_dependencies(${name} agn_build_info)
endfunction()

# tests/test_*.c: a cmocka program each, with every room and tests/support. tests/check_*.sh: a script each.
function(agn_add_tests)
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/tmp)
  file(GLOB support CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/support/*.c)
  file(GLOB programs CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/test_*.c)
  file(GLOB scripts CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/check_*.sh)
  if(support)
    add_library(agn_test_support OBJECT ${support})
    target_link_libraries(agn_test_support PRIVATE agn_flags agn_cmocka agn_jansson agn_openmp)
    target_include_directories(agn_test_support PRIVATE ${PROJECT_SOURCE_DIR}/tests ${PROJECT_SOURCE_DIR}/tests/support)
    set(support_objects $<TARGET_OBJECTS:agn_test_support>)
  endif()
  foreach(source IN LISTS programs)
    get_filename_component(name ${source} NAME_WE)
    agn_add_program(${name} ${source} ${support_objects})
    target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests ${PROJECT_SOURCE_DIR}/tests/support)
    target_link_libraries(${name} PRIVATE agn_cmocka)
    if(TARGET agilenn)
      target_link_libraries(${name} PRIVATE agn_cli)
    endif()
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
    agn_add_test(${name} $<TARGET_FILE:${name}>)
  endforeach()
  agn_add_edge_alone()
  agn_add_kernel_tests("${support_objects}" dsp AGN_KERNEL_DSP=1)
  agn_add_kernel_tests("${support_objects}" plain AGN_KERNEL_DSP=0 AGN_KERNEL_SSE2=0)
  foreach(script IN LISTS scripts)
    get_filename_component(name ${script} NAME_WE)
    agn_add_test(${name} ${script})
  endforeach()
  agn_limit_test(check_firmware_edge 300) # a hundred frames in the host's time, some wait out their deadline
  agn_limit_test(check_c_source 300) # a folder compiled for ten processors and in six ways
  agn_limit_test(check_estimate_counts 300) # the firmware is compiled four times
  agn_limit_test(check_device_compilers 300)
  agn_limit_test(check_bench_mcu 600) # six emulated boards, several builds each
  agn_limit_test(check_firmware 600)
  agn_limit_test(check_firmware_graph 300)
  agn_limit_test(check_deb 400) # compresses two packages
  agn_limit_test(check_deepcod 300) # four trainings, and an emulated board
  agn_limit_test(check_edge_only_jpeg 300) # four trainings, and emulated boards
  agn_limit_test(check_report 300) # three times a browser
  agn_limit_test(check_sweep 300) # some twenty trainings, each with a server
  agn_limit_test(check_targets 300) # the library compiled four times for eight processors
  agn_limit_test(check_mpi 600)
  if(TEST check_mpi) # several programs at a time, many of them: slow where the cores are busy
    set_tests_properties(check_mpi PROPERTIES PROCESSORS 2)
  endif()
endfunction()

# The edge server's room and what it needs, for check_edge_alone.sh.
function(agn_add_edge_alone)
  add_executable(edge_alone ${PROJECT_SOURCE_DIR}/tests/edge_alone.c)
  target_link_libraries(edge_alone PRIVATE agn_flags agn_edge)
  set_target_properties(edge_alone PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
endfunction()

# tests/test_device_*.c once more, over device/ with other kernels: those for the Arm DSP extension, whose
# instructions device/agn_simd.h has in portable C as well, and the plain ones where the host has its own.
function(agn_add_kernel_tests support_objects variant)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/device/*.c)
  file(GLOB programs CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/test_device_*.c)
  set(library agn_device_${variant})
  add_library(${library} OBJECT ${sources})
  set_target_properties(${library} PROPERTIES C_STANDARD 99 C_EXTENSIONS OFF)
  target_compile_definitions(${library} PRIVATE ${ARGN})
  target_link_libraries(${library} PRIVATE agn_flags agn_freestanding)
  foreach(source IN LISTS programs)
    get_filename_component(name ${source} NAME_WE)
    set(name ${name}_${variant})
    # Its own objects come before agn_device in the link, which then has nothing to give.
    agn_add_program(${name} ${source} ${support_objects} $<TARGET_OBJECTS:${library}>)
    target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests ${PROJECT_SOURCE_DIR}/tests/support)
    target_link_libraries(${name} PRIVATE agn_cmocka)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
    agn_add_test(${name} $<TARGET_FILE:${name}>)
  endforeach()
endfunction()

# fuzz/fuzz_NAME.c: run over fuzz/corpus/NAME by fuzz/standalone_main.c, or a libFuzzer program.
function(agn_add_fuzzers)
  file(GLOB fuzzers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/fuzz/fuzz_*.c)
  set(driver ${PROJECT_SOURCE_DIR}/fuzz/standalone_main.c)
  if(NOT AGN_LIBFUZZER AND NOT EXISTS ${driver})
    return()
  endif()
  foreach(source IN LISTS fuzzers)
    get_filename_component(program ${source} NAME_WE)
    string(REGEX REPLACE "^fuzz_" "" name ${program})
    set(corpus ${PROJECT_SOURCE_DIR}/fuzz/corpus/${name})
    if(AGN_LIBFUZZER)
      agn_add_program(${program} ${source})
      target_link_options(${program} PRIVATE -fsanitize=fuzzer)
      set(arguments -runs=0 ${corpus})
    else()
      agn_add_program(${program} ${source} ${driver})
      set(arguments ${corpus})
    endif()
    set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz)
    agn_add_test(${program} $<TARGET_FILE:${program}> ${arguments})
  endforeach()
endfunction()

# bench/NAME.c or bench/bench_NAME.c: the program agn_bench_NAME. Benchmarks are never timed tests.
function(agn_add_benchmarks)
  file(GLOB benchmarks CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/bench/*.c)
  foreach(source IN LISTS benchmarks)
    get_filename_component(name ${source} NAME_WE)
    string(REGEX REPLACE "^bench_" "" name ${name})
    agn_add_program(agn_bench_${name} ${source})
    set_target_properties(agn_bench_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench)
  endforeach()
endfunction()
