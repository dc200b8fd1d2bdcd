# One static library per room, and the command on top of them.

# agn_build.h holds AGN_VERSION and AGN_COMMIT. It is looked at on every build and rewritten only when the
# commit has changed, so that only the files that print it are compiled anew.
set(AGN_GENERATED_DIR ${PROJECT_BINARY_DIR}/generated)
set(AGN_WRITE_BUILD_INFO
  ${CMAKE_COMMAND} -DSOURCE_DIR=${PROJECT_SOURCE_DIR} -DOUTPUT=${AGN_GENERATED_DIR}/agn_build.h
  -DAGN_VERSION=${PROJECT_VERSION} -P ${PROJECT_SOURCE_DIR}/cmake/WriteBuildInfo.cmake)
execute_process(COMMAND ${AGN_WRITE_BUILD_INFO})
add_custom_target(agn_build_info COMMAND ${AGN_WRITE_BUILD_INFO} VERBATIM)

# agn_add_room(NAME SOURCES folder [USES rooms...] [LIBRARIES targets...] [FREESTANDING] [NUMERIC])
# A room without source files yet becomes an interface library. The properties AGN_ALL_ROOMS (as targets) and
# AGN_HOST_ROOMS (by name) list what was added.
function(agn_add_room name)
  cmake_parse_arguments(PARSE_ARGV 1 ROOM "FREESTANDING;NUMERIC" "SOURCES" "USES;LIBRARIES")
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${ROOM_SOURCES}/*.c)
  list(FILTER sources EXCLUDE REGEX "/(${AGN_OTHER_TRANSPORT}|${AGN_OTHER_XNNPACK})$")
  list(TRANSFORM ROOM_USES PREPEND agn_)
  set(target agn_${name})
  set_property(GLOBAL APPEND PROPERTY AGN_ALL_ROOMS ${target})
  if(NOT ROOM_FREESTANDING)
    set_property(GLOBAL APPEND PROPERTY AGN_HOST_ROOMS ${name})
  endif()
  if(NOT sources)
    add_library(${target} INTERFACE)
    target_link_libraries(${target} INTERFACE ${ROOM_USES} ${ROOM_LIBRARIES})
    return()
  endif()

  add_library(${target} STATIC ${sources})
  target_link_libraries(${target} PUBLIC ${ROOM_USES} PRIVATE agn_flags ${ROOM_LIBRARIES})
  if(ROOM_FREESTANDING)
    set_target_properties(${target} PROPERTIES C_STANDARD 99 C_EXTENSIONS OFF)
    target_link_libraries(${target} PRIVATE agn_freestanding)
  else()
    target_link_libraries(${target} PRIVATE agn_openmp Threads::Threads m)
    target_include_directories(${target} PRIVATE ${AGN_GENERATED_DIR})
    add_dependencies(${target} agn_build_info)
  endif()
  if(ROOM_NUMERIC)
    target_link_libraries(${target} PRIVATE agn_numeric)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64" AND CMAKE_C_COMPILER_ID STREQUAL "GNU"
      AND CMAKE_C_COMPILER_VERSION VERSION_LESS 13)
    # GCC 12 dies there of some loops ("in vect_transform_reduction"); numeric rooms avoid them.
    target_compile_options(${target} PRIVATE -fno-tree-loop-vectorize)
  endif()
endfunction()

# The device runtime's sources, the drivers', and what firmware/export/ has around them, into a room: for `agilenn export
# --c-source`.
function(agn_embed_runtime room)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/device/*.[ch] ${PROJECT_SOURCE_DIR}/wire/*.[ch])
  file(GLOB drivers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/firmware/drivers/*.[ch])
  file(GLOB_RECURSE templates CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/firmware/export/*)
  set(listed "")
  foreach(file IN LISTS sources)
    get_filename_component(name ${file} NAME)
    list(APPEND listed "runtime/${name}=${file}")
  endforeach()
  foreach(file IN LISTS drivers)
    get_filename_component(name ${file} NAME)
    list(APPEND listed "drivers/${name}=${file}")
  endforeach()
  foreach(file IN LISTS templates)
    file(RELATIVE_PATH name ${PROJECT_SOURCE_DIR}/firmware/export ${file})
    list(APPEND listed "${name}=${file}")
  endforeach()
  agn_embed_files(${room} runtime deploy/runtime_files.h "${listed}")
endfunction()

# The monitor's page into its room.
function(agn_embed_page room)
  set(listed "")
  foreach(name page.html page.css page.js)
    list(APPEND listed "${name}=${PROJECT_SOURCE_DIR}/src/monitor/${name}")
  endforeach()
  agn_embed_files(${room} page monitor/page_files.h "${listed}")
endfunction()

# What a report is made from: template, style, script, the paper's figures, and the plan of a quick one.
function(agn_embed_report room)
  set(listed "quick.ini=${PROJECT_SOURCE_DIR}/bench/plans/quick.ini")
  foreach(name report.html report.css report.js paper.csv)
    list(APPEND listed "${name}=${PROJECT_SOURCE_DIR}/src/report/${name}")
  endforeach()
  agn_embed_files(${room} report report/report_files.h "${listed}")
endfunction()

# Files, listed as name=path;..., into a room as agn__<name>_files[].
function(agn_embed_files room name header listed)
  set(output ${AGN_GENERATED_DIR}/agn_${name}_files.c)
  set(script ${PROJECT_SOURCE_DIR}/cmake/EmbedFiles.cmake)
  string(REGEX REPLACE "[^;=]*=" "" files "${listed}")
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} "-DLISTED=${listed}" -DNAME=${name} -DHEADER=${header} -DOUTPUT=${output} -P ${script}
    DEPENDS ${files} ${script} VERBATIM)
  target_sources(agn_${room} PRIVATE ${output})
endfunction()

# `agilenn`: main.c over agn_cli, which holds the rest of src/cli so that tests can link it.
function(agn_add_command)
  agn_add_room(cli SOURCES src/cli
    USES report sweep fit measure plot swarm modem monitor client edge server deploy train model distributed xai nn sets data base LIBRARIES agn_jansson)
  get_target_property(kind agn_cli TYPE)
  if(kind STREQUAL "INTERFACE_LIBRARY")
    return()
  endif()
  get_target_property(sources agn_cli SOURCES)
  list(FILTER sources EXCLUDE REGEX "/main\\.c$")
  set_target_properties(agn_cli PROPERTIES SOURCES "${sources}")
  agn_embed_files(cli completion cli/completion_files.h "completion.bash=${PROJECT_SOURCE_DIR}/src/cli/completion.bash")
  add_executable(agilenn src/cli/main.c)
  target_link_libraries(agilenn PRIVATE agn_cli agn_flags)
  target_include_directories(agilenn PRIVATE ${AGN_GENERATED_DIR})
  set_target_properties(agilenn PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
endfunction()
